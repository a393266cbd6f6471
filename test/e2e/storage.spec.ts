// The storage under the log: cleared, full, forbidden, damaged (H16, H21, H31, H34, H36, H43, H46). On both of Chromium's engines.
import type { BrowserContext, Page } from '@playwright/test'
import { open, readdir, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { cdp, engineOnDisk, expect, killBrowser, openPage, run, test, type Engine } from '../support/e2e.js'

/** Opens a store in a page. */
const openStore = (page: Page, name: string) =>
  run(
    page,
    'page',
    async (tidemark, name, state) => void (state['store'] = await tidemark.openEventStore({ name })),
    name,
  )

/** What a store in a page holds, and what verify says of it. */
const look = (page: Page) =>
  run(page, 'page', async (tidemark, _arg, state) => {
    const events: { position: number; stream: string; data: unknown }[] = []
    for await (const { position, stream, data } of state['store'].read()) events.push({ position, stream, data })
    const { ok, head, defects } = await tidemark.verifyEventStore(state['store'])
    const lines: AsyncIterable<string> = tidemark.exportEvents(state['store'])
    const { value } = await lines[Symbol.asyncIterator]().next()
    const header = JSON.parse(value)
    return { events, ok, head, defects, log: header.log as string } as {
      events: typeof events
      ok: boolean
      head: number
      defects: readonly { kind: string; position?: number }[]
      log: string
    }
  })

/** Starts to append from a page, several at once, until it is told to stop or ten of them failed. */
const startAppending = (page: Page, who: string) =>
  run(
    page,
    'page',
    (_tidemark, who, state) => {
      const tally = { acknowledged: [] as string[], failed: [] as string[], pending: 0, stop: false }
      state['tally'] = tally
      for (let lane = 0; lane < 4; lane += 1) {
        void (async () => {
          for (let n = 0; !tally.stop && tally.failed.length < 10; n += 1) {
            const id = `${who}-${lane}-${n}`
            tally.pending += 1
            try {
              await state['store'].append([
                { stream: `${who}-${lane}`, events: [{ type: 'A', data: id, id }] },
                { stream: 'shared', events: [{ type: 'A', data: id, id: `${id}-too` }] },
              ])
              tally.acknowledged.push(id)
            } catch (error) {
              tally.failed.push((error as { code?: string }).code ?? String(error))
            }
            tally.pending -= 1
            await new Promise((resolve) => setTimeout(resolve, 0))
          }
        })()
      }
    },
    who,
  )

const tally = (page: Page) =>
  run(
    page,
    'page',
    (_tidemark, _arg, state) => state['tally'] as { acknowledged: string[]; failed: string[]; pending: number },
  )

const clearings: [string, (page: Page, context: BrowserContext) => Promise<unknown>][] = [
  [
    'the browser clears the origin',
    async (page) =>
      (await cdp(page)).send('Storage.clearDataForOrigin', {
        origin: new URL(page.url()).origin,
        storageTypes: 'indexeddb',
      }),
  ],
  [
    'the server clears the site',
    async (page, context) => (await context.newPage()).goto(new URL('/__clear-site-data', page.url()).href),
  ],
  [
    'another tab destroys the store',
    async (_page, context) => run(await openPage(context), 'page', (tidemark) => tidemark.deleteEventStore('cleared')),
  ],
]
for (const [how, clear] of clearings) {
  test(`H31, H44: ${how} while a page appends: every promise settles, and nothing of the old store lands in the new one`, async ({
    launch,
  }) => {
    const context = await launch()
    for (let round = 0; round < 4; round += 1) {
      const old = await openPage(context)
      await openStore(old, 'cleared')
      await startAppending(old, `old${round}`)
      await expect.poll(async () => (await tally(old)).acknowledged.length).toBeGreaterThan(5 + round * 7)
      await clear(old, context)
      // It goes on trying for as long as it may; meanwhile there is a new store of the same name.
      const next = await openPage(context)
      await openStore(next, 'cleared')
      await run(next, 'page', (_tidemark, _arg, state) =>
        state['store'].append({ stream: 'new', events: [{ type: 'A', data: 'new' }] }),
      )
      await expect
        .poll(async () => {
          const { failed, pending } = await tally(old)
          return [failed.length >= 10, pending]
        })
        .toEqual([true, 0])
      const { failed } = await tally(old)
      expect(
        failed.slice(4).every((code) => code === 'storage-lost'),
        failed.join(),
      ).toBe(true)
      await run(next, 'page', (_tidemark, _arg, state) =>
        state['store'].append({ stream: 'new', events: [{ type: 'A', data: 'new' }] }),
      )
      const found = await look(next)
      expect(found.events).toEqual([
        { position: 1, stream: 'new', data: 'new' },
        { position: 2, stream: 'new', data: 'new' },
      ])
      expect(found.ok).toBe(true)
      await run(next, 'page', (tidemark, _arg, state) =>
        state['store'].close().then(() => tidemark.deleteEventStore('cleared')),
      )
      await old.close()
      await next.close()
    }
  })
}

test('H46: appends over the quota fail whole and by name, and go on when there is room again', async ({ launch }) => {
  const page = await openPage(await launch())
  const session = await cdp(page)
  const { origin } = new URL(page.url())
  // Before the first write: Chromium remembers for half a minute how much room there was.
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 2 * 1024 * 1024 })
  await openStore(page, 'quota')
  const filled = await run(page, 'page', async (_tidemark, _arg, state) => {
    const random = () =>
      Array.from(crypto.getRandomValues(new Uint8Array(50_000)), (byte) => byte.toString(16)).join('')
    let acknowledged = 0
    for (let n = 0; n < 400; n += 1) {
      try {
        await state['store'].append([
          { stream: 'a', events: [{ type: 'A', data: random() }] },
          { stream: 'b', events: [{ type: 'B', data: random() }] },
        ])
        acknowledged += 1
      } catch (error) {
        const { code, outcome } = error as { code: string; outcome: string }
        return {
          acknowledged,
          code,
          outcome,
          head: await state['store'].head(),
          versions: [await state['store'].streamVersion('a'), await state['store'].streamVersion('b')],
        }
      }
    }
    return { acknowledged }
  })
  expect(filled).toEqual({
    acknowledged: filled.acknowledged,
    code: 'storage-full',
    outcome: 'not-written',
    head: filled.acknowledged * 2,
    versions: [filled.acknowledged, filled.acknowledged],
  })

  await session.send('Storage.overrideQuotaForOrigin', { origin })
  await expect
    .poll(
      () =>
        run(page, 'page', (_tidemark, _arg, state) =>
          state['store'].append({ stream: 'a', events: [{ type: 'A', data: 'again', id: 'again' }] }).then(
            () => 'stored',
            ({ code }: { code: string }) => code,
          ),
        ),
      { timeout: 30_000 },
    )
    .toBe('stored')
  const found = await look(page)
  expect(found).toMatchObject({ ok: true, head: filled.acknowledged * 2 + 1 })
  expect(found.events.at(-1)).toMatchObject({ data: 'again' })
})

test('H34: a window may ask for persistence, workers may not; the estimate is told everywhere', async ({ launch }) => {
  const page = await openPage(await launch())
  for (const realm of ['page', 'dedicated', 'shared', 'service'] as const) {
    const [usage, persistence] = await run(page, realm, async (tidemark) => {
      const store = await tidemark.openEventStore({ name: 'usage' })
      const answer = [await store.usage(), await store.persist()] as const
      await store.close()
      return answer
    })
    expect(usage, realm).toEqual({
      usage: expect.any(Number),
      quota: expect.any(Number),
      persisted: expect.any(Boolean),
    })
    expect(['persisted', 'refused'].includes(persistence), `${realm}: ${persistence}`).toBe(
      realm === 'page' || usage.persisted === true,
    )
    if (realm !== 'page' && usage.persisted !== true) expect(persistence, realm).toBe('unsupported')
  }
})

test('H36: a frame without an origin of its own is told that there is no IndexedDB, and that memory works', async ({
  launch,
}) => {
  const page = await openPage(await launch())
  // Scripts of a page without an origin are fetched from elsewhere.
  await page.route('**/*', async (route) => {
    const response = await route.fetch()
    await route.fulfill({ response, headers: { ...response.headers(), 'access-control-allow-origin': '*' } })
  })
  await page.evaluate(() => {
    const frame = document.createElement('iframe')
    frame.setAttribute('sandbox', 'allow-scripts')
    frame.src = '/'
    document.body.append(frame)
  })
  await expect.poll(() => page.frames().length).toBe(2)
  const frame = page.frames()[1]!
  await frame.waitForFunction(() => document.documentElement.dataset['harness'] === 'ready')
  expect(await frame.evaluate(() => self.origin)).toBe('null')
  const codes = await frame.evaluate(async () => {
    const codeOf = (work: Promise<unknown>) =>
      work.then(
        () => 'no error',
        (error: { code?: string }) => error.code ?? String(error),
      )
    return [
      await codeOf(window.tidemark.openEventStore({ name: 'sandboxed' })),
      await codeOf(window.tidemark.deleteEventStore('sandboxed')),
    ]
  })
  expect(codes).toEqual(['storage-unavailable', 'storage-unavailable'])
})

test('H43: a browser killed while it makes the store leaves it whole or not at all', async ({ launch }) => {
  test.setTimeout(120_000)
  for (let round = 0; round < 3; round += 1) {
    let context = await launch()
    let page = await openPage(context)
    const making = run(
      page,
      'page',
      (tidemark, name) => tidemark.openEventStore({ name }).then(() => {}),
      `made-${round}`,
    ).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, round * 25))
    await killBrowser(context)
    await making
    context = await launch()
    page = await openPage(context)
    await openStore(page, `made-${round}`)
    expect(
      await run(page, 'page', (_tidemark, _arg, state) =>
        state['store']
          .append({ stream: 'a', events: [{ type: 'A', data: 1 }] })
          .then(({ position }: { position: number }) => position),
      ),
    ).toBe(1)
    expect(await look(page)).toMatchObject({ ok: true, head: 1 })
    await context.close()
  }
})

/** The files of an origin's databases, after the browser ended. */
async function databaseFiles(profile: string, pattern: RegExp): Promise<string[]> {
  const root = join(profile, 'Default', 'IndexedDB')
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => pattern.test(path))
  if (files.length === 0) throw new Error(`No file matches ${pattern}: the engine keeps its data elsewhere now`)
  return files
}

/** Overwrites a part of a file, from a fraction of its length on. */
async function scribble(path: string, from: number): Promise<void> {
  const file = await open(path, 'r+')
  const { size } = await file.stat()
  const start = Math.floor(size * from)
  await file.write(Buffer.alloc(Math.min(4096, size - start), 0x5a), 0, undefined, start)
  await file.close()
}

const leveldb = (file: string) => new RegExp(`leveldb/${file}$`)
const sqlite = /http_localhost_\d+\/[A-Z0-9]+$/
const each = (pattern: RegExp, damage: (path: string) => Promise<unknown>) => async (profile: string) =>
  Promise.all((await databaseFiles(profile, pattern)).map(damage))
const cutInHalf = async (path: string) => truncate(path, Math.floor((await stat(path)).size / 2))

const damages: readonly ({ readonly what: string } & Readonly<
  Record<Engine, (profile: string) => Promise<unknown>>
>)[] = [
  {
    what: 'a scribble over what is read first',
    leveldb: each(leveldb('CURRENT'), (path) => scribble(path, 0)),
    sqlite: each(sqlite, (path) => scribble(path, 0)),
  },
  {
    what: 'a scribble further in',
    leveldb: each(leveldb('MANIFEST-\\d+'), (path) => scribble(path, 0)),
    sqlite: each(sqlite, (path) => scribble(path, 0.5)),
  },
  {
    what: 'the loss of a file',
    leveldb: each(leveldb('MANIFEST-\\d+'), (path) => rm(path)),
    sqlite: each(sqlite, (path) => rm(path)),
  },
  { what: 'a file cut in half', leveldb: each(leveldb('\\d+\\.log'), cutInHalf), sqlite: each(sqlite, cutInHalf) },
]
for (const { what, ...damage } of damages) {
  test(`H21: after ${what} there is an error by name, a whole beginning of the log, or a new log that says it is another one`, async ({
    launch,
    profile,
    engine,
    baseURL,
  }) => {
    let context = await launch()
    let page = await openPage(context)
    await openStore(page, 'damaged')
    await run(page, 'page', async (_tidemark, _arg, state) => {
      for (let n = 0; n < 200; n += 1)
        await state['store'].append([
          { stream: 'a', events: [{ type: 'A', data: n }] },
          { stream: 'b', events: [{ type: 'A', data: 'x'.repeat(500) }] },
        ])
    })
    const before = await look(page)
    expect(before).toMatchObject({ ok: true, head: 400 })
    expect(await engineOnDisk(profile, baseURL!)).toBe(engine)
    await context.close()
    await damage[engine](profile)

    context = await launch()
    page = await openPage(context)
    const outcome = (description: string) => void test.info().annotations.push({ type: `H21: ${what}`, description })
    const after = await openStore(page, 'damaged')
      .then(() => look(page))
      .catch((error: Error) => error)
    if (after instanceof Error) {
      outcome(after.message)
      expect(after.message).toMatch(/Storage\w+Error|EventUnreadableError|LogInconsistentError/)
      return
    }
    outcome(
      after.log === before.log
        ? `the same log up to ${after.head}, ${after.ok ? 'whole' : JSON.stringify(after.defects)}`
        : 'a new log',
    )
    // What is left is a beginning; a new log is told from the old one by its identity.
    expect(after.events).toEqual(before.events.slice(0, after.events.length))
    if (after.log !== before.log) expect(after).toMatchObject({ head: 0, ok: true })
    if (after.ok) expect(after.head % 2, 'half a commit').toBe(0)
    // It goes on behind that, or by name not at all; it does not make what verify found any worse.
    const appended = await run(
      page,
      'page',
      (_tidemark, _arg, state) =>
        state['store'].append({ stream: 'a', events: [{ type: 'A', data: 'later' }] }).then(
          ({ position }: { position: number }) => position,
          ({ code }: { code: string }) => code,
        ) as Promise<number | string>,
    )
    const later = await look(page)
    if (typeof appended === 'string') expect([appended, later]).toEqual([expect.stringMatching(/^storage-/), after])
    else
      expect(later).toMatchObject({
        ok: after.ok,
        head: after.head + 1,
        events: [...after.events, { position: appended, data: 'later' }],
      })
  })
}

test('H16: a large event whose file got lost is named by its position, and its neighbours are read; SQLite has no such files', async ({
  launch,
  profile,
  engine,
}) => {
  let context = await launch()
  let page = await openPage(context)
  await openStore(page, 'lost')
  await run(page, 'page', async (_tidemark, _arg, state) => {
    const large = Array.from(crypto.getRandomValues(new Uint8Array(50_000)), (byte) => byte.toString(16)).join('')
    for (const [stream, data] of [
      ['a', 1],
      ['b', large],
      ['a', 3],
    ])
      await state['store'].append({ stream, events: [{ type: 'A', data }] })
    await state['store'].close()
  })
  await context.close()
  if (engine === 'sqlite') return await expect(databaseFiles(profile, /blob/)).rejects.toThrow('No file matches')
  for (const path of await databaseFiles(profile, /indexeddb\.blob\//)) await rm(path)

  context = await launch()
  page = await openPage(context)
  await openStore(page, 'lost')
  const found = await run(page, 'page', async (tidemark, _arg, state) => {
    const read = async (events: AsyncIterable<{ position: number }>) => {
      const positions: number[] = []
      try {
        for await (const { position } of events) positions.push(position)
      } catch (error) {
        const { code, position } = error as { code: string; position: number }
        return [...positions, `${code} at ${position}`]
      }
      return positions
    }
    const { store } = state
    const answer = {
      all: await read(store.read()),
      after: await read(store.read({ after: 2 })),
      a: await read(store.readStream('a')),
      b: await read(store.readStream('b')),
      defects: (await tidemark.verifyEventStore(store)).defects.map(({ kind, position }) => [kind, position]),
      appended: (await store.append({ stream: 'b', events: [{ type: 'A', data: 4 }] })).position,
    }
    return answer as {
      all: unknown[]
      after: unknown[]
      a: unknown[]
      b: unknown[]
      defects: unknown[]
      appended: number
    }
  })
  expect(found).toEqual({
    all: [1, 'event-unreadable at 2'],
    after: [3],
    a: [1, 3],
    b: ['event-unreadable at 2'],
    defects: [['unreadable', 2]],
    appended: 4,
  })
})
