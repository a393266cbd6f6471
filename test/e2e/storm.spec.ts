// Many contexts append, project and read at once while some of them are killed; the rows are compared with a plain fold.
import { expect } from '@playwright/test'
import type { Page } from '@playwright/test'
import { append, caughtUp, compare, open, race, start, status } from '../support/counting.js'
import { crash, openPage, run, test } from '../support/e2e.js'

test('H10, H51, Z5: pages, workers, a shared and a service worker append and lead at once; crashes leave no hole and no double', async ({
  launch,
}) => {
  test.setTimeout(120_000)
  const context = await launch()
  const pages = await Promise.all(Array.from({ length: 8 }, () => openPage(context)))
  const [first] = pages as [Page, ...Page[]]
  const writers = [
    ...pages.map((page) => [page, 'page'] as const),
    [first, 'dedicated:a'],
    [first, 'dedicated:b'],
    [first, 'shared'],
    [first, 'service'],
  ] as const
  for (const [page, realm] of writers) await open(page, realm, 'storm')
  for (const [page, realm] of writers) if (realm !== 'service') await start(page, realm)

  // Appended in small commits by everybody, on shared streams.
  await Promise.all(writers.map(([page, realm]) => append(page, realm, 30)))
  // And all of them at one stream, each of which only the first to come may extend: conflicts are exact.
  const won = await Promise.all(writers.map(([page, realm]) => race(page, realm, 10)))
  expect(won.every((each) => each === 10)).toBe(true)
  expect(
    await run(first, 'page', (_tidemark, _arg, state) => state['store'].streamVersion('contested') as number),
  ).toBe(writers.length * 10)
  for (let round = 0; round < 2; round += 1) {
    const victim = pages.pop() as Page
    const leads = await Promise.all(
      writers
        .filter(([page, realm]) => realm !== 'service' && (pages.includes(page) || page === victim))
        .map(([page, realm]) => status(page, realm)),
    )
    expect(leads.filter(({ leader }) => leader).length, 'at most one leads').toBeLessThanOrEqual(1)
    // In the middle of its work: the crash comes while it appends and projects.
    const dying = append(victim, 'page', 500).catch(() => {})
    await append(first, 'dedicated:a', 20)
    await crash(victim)
    await victim.close()
    await Promise.race([dying, Promise.resolve()])
    await Promise.all([append(first, 'dedicated:b', 40, 4), append(first, 'shared', 40)])
    pages.push(await openPage(context))
    const fresh = pages.at(-1) as Page
    await open(fresh, 'page', 'storm')
    await start(fresh)
  }
  await run(first, 'page', () => window.harness.terminate('dedicated:a'))
  const position = await append(first, 'page', 10)
  await caughtUp(first, position)
  const { head, rows, expected } = await compare(first)
  expect(head).toBeGreaterThanOrEqual(position)
  expect(rows).toEqual(expected)
})

test('H19, N1: a hundred thousand events are projected in several tabs while the leading one is killed again and again', async ({
  launch,
}) => {
  test.setTimeout(120_000)
  const context = await launch()
  const writer = await openPage(context)
  await open(writer, 'page', 'history')
  let leaders = [await openPage(context), await openPage(context)]
  for (const page of leaders) {
    await open(page, 'page', 'history')
    await start(page)
  }
  // While leaders are killed, so that none of them is done before.
  const appended = append(writer, 'page', 100_000, 2_000)
  const at = () =>
    run(writer, 'page', async (tidemark, _arg, state) => {
      const view = await tidemark.openReadModel(state['store'], state['definition'])
      const position = await view.position()
      await view.close()
      return position
    })
  let kills = 0
  for (let round = 0; round < 8 && (await at()) < 100_000; round += 1) {
    const leading = await Promise.all(leaders.map((page) => status(page)))
    const victim = leaders[
      Math.max(
        0,
        leading.findIndex(({ leader }) => leader),
      )
    ] as Page
    await crash(victim)
    await victim.close()
    kills += 1
    leaders = leaders.filter((page) => page !== victim)
    const fresh = await openPage(context)
    await open(fresh, 'page', 'history')
    await start(fresh)
    leaders.push(fresh)
  }
  expect(kills).toBeGreaterThan(0)
  await caughtUp(leaders[0] as Page, await appended)
  const { head, position: done, rows, expected } = await compare(writer)
  expect([head, done]).toEqual([100_000, 100_000])
  expect(rows).toEqual(expected)
})

test('N30, N34: an old version is removed when its last tab has gone, and not before; nothing else is', async ({
  launch,
}) => {
  const context = await launch()
  const [old, fresh] = [await openPage(context), await openPage(context)]
  const databases = () => run(fresh, 'page', async () => (await indexedDB.databases()).map(({ name }) => name).sort())
  await open(old, 'page', 'deploy')
  await start(old)
  await caughtUp(old, await append(old, 'page', 30))
  // Another projection whose name begins alike, and one of a higher version, are none of its business.
  await run(old, 'page', async (tidemark, _arg, state) => {
    for (const [name, version] of [
      ['counts@9', 1],
      ['counts', 7],
    ] as const) {
      await tidemark.runProjection(state['store'], { ...state['definition'], name, version })
    }
  })

  await open(fresh, 'page', 'deploy', 2)
  await start(fresh)
  await caughtUp(fresh, await append(old, 'page', 10))
  await expect.poll(() => status(fresh)).toMatchObject({ phase: 'live', leader: true })
  expect(await databases()).toContain('tidemark:deploy:counts@1')
  // The old tab goes on with its own rows.
  await caughtUp(old, await append(fresh, 'page', 10))
  expect((await compare(old)).rows).toEqual((await compare(fresh)).rows)

  await old.close()
  await run(fresh, 'page', (_tidemark, _arg, state) => state['projection'].stop() as Promise<void>)
  await start(fresh)
  await expect
    .poll(databases)
    .toEqual(['tidemark:deploy', 'tidemark:deploy:counts@2', 'tidemark:deploy:counts@7', 'tidemark:deploy:counts@9@1'])
  expect((await compare(fresh)).rows).toHaveLength(5)
})
