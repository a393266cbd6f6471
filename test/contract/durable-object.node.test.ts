// N86, N87, N88: a Durable Object inside workerd keeps the contracts of a log store and of a server, and the limits of the platform.
import { randomUUID } from 'node:crypto'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { logStoreContract, serverContract } from 'tidemark/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { limitCases } from '../support/workerd/limit-cases.js'
import { RawSocket } from '../support/workerd/raw-socket.js'
import { workerd, Workerd } from '../support/workerd/start.js'

class Socket extends RawSocket {
  constructor({ href }: URL) {
    super(href)
  }
}

describe.skipIf(workerd === undefined)('N86: a Durable Object keeps the contracts', () => {
  let running: Workerd
  beforeAll(async () => {
    running = await Workerd.start()
  })
  afterAll(() => running.end())

  // Only their names are used here: they run inside the object.
  const never = () => Promise.reject(new Error('It runs elsewhere.'))
  const names = [...logStoreContract(never), ...limitCases(undefined as never)].map(({ name }) => name)

  test.each(names)('%s', async (name) => {
    const response = await fetch(`${running.url}/cases?case=${encodeURIComponent(name)}`)
    expect(await response.json()).toEqual({})
  })

  let generation = ''
  const open = () => {
    const log = randomUUID()
    const url = `${running.url}/logs/${log}`
    const restart = async (whileEnded = () => Promise.resolve()) => {
      await running.kill()
      await whileEnded()
      await running.startAgain({ generation })
    }
    return Promise.resolve({
      url,
      otherUrl: `${running.url}/logs/${randomUUID()}`,
      headers: (author: string) => ({ 'X-User': encodeURIComponent(author) }),
      unknown: {},
      refusedType: 'Refused',
      origin: 'https://app.example',
      WebSocket: Socket,
      restart: () => restart(),
      // All logs go back, and the operator says so with another generation.
      async backup() {
        await running.kill()
        const copy = join(running.folder, randomUUID())
        await cp(running.disk, copy, { recursive: true })
        await running.startAgain({ generation })
        return () => {
          generation = randomUUID()
          return restart(async () => {
            await rm(running.disk, { recursive: true })
            await cp(copy, running.disk, { recursive: true })
          })
        }
      },
      dispose: () => Promise.resolve(),
    })
  }
  for (const { name, run } of serverContract(open)) test(name, run)
})
