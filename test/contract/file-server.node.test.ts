/** The server contract over a log in a file and node:http: started again by closing and opening, restored from a copy of the file. */
import { randomUUID } from 'node:crypto'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { nodeListener, openFileLogStore, type FileLogStore } from 'tidemark/file'
import { serverLog, syncHandler } from 'tidemark/server'
import { serverContract } from 'tidemark/testing'
import { describe, test } from 'vitest'
import { scratch } from '../../scripts/scratch.mjs'
import { refusalOf } from '../support/refusing.js'

const names = ['one', 'two'] as const

describe('syncHandler over files and node:http keeps the contract of a server', () => {
  const open = async () => {
    const folder = await mkdtemp(join(scratch(), 'tidemark-file-server-'))
    const pathOf = (name: string) => join(folder, `${name}.log`)
    const stores = new Map<string, FileLogStore>()
    const openLog = async (name: string) => void stores.set(name, await openFileLogStore({ path: pathOf(name) }))
    for (const name of names) await openLog(name)
    const handler = syncHandler({
      origins: ['https://shop.example'],
      open(request) {
        const user = request.headers.get('X-User')
        if (user === null) return Response.json({ code: 'unauthorized', message: 'Who are you?' }, { status: 401 })
        const store = stores.get(new URL(request.url).pathname.split('/')[2] ?? '')
        if (store === undefined) return Response.json({ code: 'not-found', message: 'No such log.' }, { status: 404 })
        return { log: serverLog(store), author: decodeURIComponent(user) }
      },
      accept: ({ events }) => refusalOf(events),
    })
    const server = createServer(nodeListener(handler))
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const restart = async (whileClosed = () => Promise.resolve()) => {
      await stores.get('one')?.close()
      await whileClosed()
      await openLog('one')
    }
    return {
      url: `${base}/logs/one`,
      otherUrl: `${base}/logs/two`,
      headers: (author: string) => ({ 'X-User': encodeURIComponent(author) }),
      unknown: {},
      refusedType: 'Refused',
      origin: 'https://shop.example',
      restart: () => restart(),
      backup: async () => {
        const copy = `${pathOf('one')}.${randomUUID()}`
        await copyFile(pathOf('one'), copy)
        return () => restart(() => copyFile(copy, pathOf('one')))
      },
      async dispose() {
        server.closeAllConnections()
        await new Promise<void>((resolve) => void server.close(() => resolve()))
        for (const store of stores.values()) await store.close()
        await rm(folder, { recursive: true })
      },
    }
  }
  for (const { name, run } of serverContract(open)) test(name, run)
})
