// For tests of apps in browsers: the server in memory keeps its contract there, too.
import { memoryLogStore } from 'tidemark/server'
import { logStoreContract, serverContract } from 'tidemark/testing'
import { describe, test } from 'vitest'
import { memoryServer } from './server.js'

describe('syncHandler keeps the contract of a server', () => {
  const open = () => {
    const { handler, subject } = memoryServer()
    return Promise.resolve(subject('http://localhost', (input, init) => handler(new Request(input, init))))
  }
  for (const { name, run } of serverContract(open)) test(name, run)
})

describe('memoryLogStore keeps the contract of a log store', () => {
  const open = () => {
    const store = memoryLogStore()
    return Promise.resolve({ store, dispose: () => store.close() })
  }
  for (const { name, run } of logStoreContract(open)) test(name, run)
})
