// Components on a server, in Node: they show that they load, follow nothing, and start nothing.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compile, type Framework } from '../../bindings/compiled.js'
import { fakeQuery } from '../../bindings/fake-query.js'
import { fakeStatus } from '../../bindings/fake-status.js'

interface Server {
  rendered(props: object): Promise<string>
  renderedStatus(of: object): Promise<string>
  renderedStore?(props: object): Promise<string>
}

// A compiler changes how this process prints errors.
const { prepareStackTrace, stackTraceLimit } = Error
afterAll(() => void Object.assign(Error, { prepareStackTrace, stackTraceLimit }))

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-server-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const textOf = ({ status, data }: { status: string; data: unknown }) => `${status}: ${String(data)}`

describe.for(['vue', 'svelte', 'solid'] satisfies Framework[])('tidemark/%s on a server', (framework) => {
  let server: Server
  beforeAll(async () => {
    const file = join(folder, `${framework}.mjs`)
    await writeFile(file, await compile(framework, 'server'))
    server = (await import(pathToFileURL(file).href)) as Server
  }, 60_000)

  test('a query loads, also if it has an answer that the browser cannot have, and is not followed', async () => {
    const query = fakeQuery<number>()
    query.answer(1)
    const seen: { status: string }[] = []
    expect(await server.rendered({ first: query, seen, textOf })).toMatch(/>loading: undefined</)
    expect(seen.every(({ status }) => status === 'loading')).toBe(true)
    expect(query.starts).toBe(0)
  })

  test('no query is off', async () => {
    expect(await server.rendered({ first: null, seen: [], textOf })).toMatch(/>off: undefined</)
  })

  test('a status is the one in which nothing is known, and is not followed', async () => {
    const status = fakeStatus()
    status.set('live')
    expect(await server.renderedStatus({ status })).toMatch(/>unknown</)
    expect(status.listeners.size).toBe(0)
  })

  if (framework === 'svelte') {
    test('so is a store', async () => {
      const query = fakeQuery<number>()
      query.answer(1)
      expect(await server.renderedStore?.({ source: query, textOf })).toMatch(/>loading: undefined</)
      expect(query.starts).toBe(0)
    })
  }
})
