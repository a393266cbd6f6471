import { getRequestListener } from '@hono/node-server'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serverContract } from 'tidemark/testing'
import { describe, test } from 'vitest'
import { memoryServer } from './server.js'

describe('syncHandler keeps the contract of a server', () => {
  describe('in this process', () => {
    const open = () => {
      const { handler, subject } = memoryServer()
      return Promise.resolve(subject('http://localhost', (input, init) => handler(new Request(input, init))))
    }
    for (const { name, run } of serverContract(open)) test(name, run)
  })

  describe('over node:http', () => {
    const open = async () => {
      const { handler, subject } = memoryServer()
      const server = createServer(getRequestListener(handler, { overrideGlobalObjects: false }))
      await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as AddressInfo
      return {
        ...subject(`http://127.0.0.1:${port}`, fetch),
        dispose: () => {
          server.closeAllConnections()
          return new Promise<void>((resolve) => void server.close(() => resolve()))
        },
      }
    }
    for (const { name, run } of serverContract(open)) test(name, run)
  })
})
