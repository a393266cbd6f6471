// The rig itself: a test of a hazard proves nothing if the rig hides the hazard.
import type { Page } from '@playwright/test'
import {
  backgroundPage,
  cdp,
  crash,
  engineOnDisk,
  expect,
  goBack,
  killBrowser,
  lifecycle,
  onOneStorage,
  openPage,
  run,
  test,
} from '../support/e2e.js'

test('a page and each kind of worker has the package and answers', onOneStorage, async ({ launch }) => {
  const page = await openPage(await launch())
  const names = await page.evaluate(() => Object.keys(window.tidemark))
  for (const realm of ['dedicated', 'dedicated:a', 'shared', 'shared:b', 'service'] as const) {
    expect(await page.evaluate((realm) => window.harness.call(realm, 'exports'), realm), realm).toEqual(names)
    expect(await run(page, realm, (_, n: number, state) => (state['n'] = n), 7), realm).toBe(7)
    expect(await run(page, realm, (_, __, state) => [state['n'], typeof document]), realm).toEqual([7, 'undefined'])
  }
})

test(
  'shared and service workers are the same in two pages, dedicated ones are not',
  onOneStorage,
  async ({ launch }) => {
    const context = await launch()
    const [one, two] = [await openPage(context), await openPage(context)]
    for (const [realm, expected] of [
      ['shared', 1],
      ['service', 1],
      ['dedicated', null],
    ] as const) {
      await run(one, realm, (_, __, state) => void (state['seen'] = 1))
      expect(await run(two, realm, (_, __, state) => state['seen'] ?? null), realm).toBe(expected)
    }
  },
)

test('an error in a worker comes back with its name and its own fields', onOneStorage, async ({ launch }) => {
  const page = await openPage(await launch())
  const caught = await page.evaluate(async () => {
    const source = `() => { throw Object.assign(new TypeError('no'), { code: 'tested' }) }`
    return window.harness
      .run('dedicated', source, undefined)
      .catch(({ name, message, code }) => ({ name, message, code }))
  })
  expect(caught).toEqual({ name: 'TypeError', message: 'no', code: 'tested' })
})

for (const realistic of [false, true]) {
  test.describe(realistic ? 'realistic browser' : 'default browser', () => {
    test('data survives close and kill, in the engine that was asked for', async ({
      launch,
      profile,
      engine,
      baseURL,
    }) => {
      let context = await launch({ realistic })
      await run(await openPage(context), 'page', put, 1)
      await context.close()
      expect(await engineOnDisk(profile, baseURL!)).toBe(engine)

      context = await launch({ realistic })
      const page = await openPage(context)
      expect(await run(page, 'page', count)).toBe(1)
      await run(page, 'page', put, 2)
      await killBrowser(context)

      context = await launch({ realistic })
      expect(await run(await openPage(context), 'page', count)).toBe(2)
    })

    test('a page crashes without hanging the test', onOneStorage, async ({ launch }) => {
      const context = await launch({ realistic })
      const page = await openPage(context)
      await crash(page)
      await page.close()
      await openPage(context)
    })
  })
}

test('a frozen page does not run, and goes on when it is active', onOneStorage, async ({ launch }) => {
  const context = await launch({ realistic: true })
  const page = await openPage(context)
  const observer = await openPage(context)
  await observer.evaluate(() => {
    ;(window as any).beats = 0
    new BroadcastChannel('beat').onmessage = () => (window as any).beats++
  })
  await page.evaluate(() => void setInterval(() => new BroadcastChannel('beat').postMessage(0), 50))
  const beats = () => observer.evaluate(() => (window as any).beats as number)
  await expect.poll(beats).toBeGreaterThan(0)

  await lifecycle(page, 'frozen')
  await observer.waitForTimeout(200)
  const before = await beats()
  await observer.waitForTimeout(1500)
  expect(await beats()).toBe(before)

  await lifecycle(page, 'active')
  await expect.poll(beats).toBeGreaterThan(before)
})

test('freezing a visible page is refused, because it would do nothing', onOneStorage, async ({ launch }) => {
  const page = await openPage(await launch())
  await expect(lifecycle(page, 'frozen')).rejects.toThrow('visible')
})

test('a realistic browser hides background pages', onOneStorage, async ({ launch }) => {
  const context = await launch({ realistic: true })
  const front = await openPage(context)
  const back = await backgroundPage(context)
  expect(await visibility(front)).toBe('visible')
  expect(await visibility(back)).toBe('hidden')
  await back.bringToFront()
  expect([await visibility(front), await visibility(back)]).toEqual(['hidden', 'visible'])
})

test('a realistic browser has bfcache and says why a page was not kept', onOneStorage, async ({ launch }) => {
  const page = await openPage(await launch({ realistic: true }))
  await page.evaluate(() => {
    ;(window as any).kept = true
    addEventListener('pageshow', ({ persisted }) => ((window as any).persisted = persisted))
  })
  await page.goto(new URL('/blank.html', page.url()).href)
  await goBack(page)
  expect(await page.evaluate(() => [(window as any).kept, (window as any).persisted])).toEqual([true, true])

  const session = await cdp(page)
  await session.send('Page.enable')
  const reasons = new Promise<string[]>((resolve) =>
    session.on('Page.backForwardCacheNotUsed', (event) =>
      resolve(event.notRestoredExplanations.map(({ reason }) => reason)),
    ),
  )
  await page.evaluate(() => addEventListener('unload', () => {}))
  await page.goto(new URL('/blank.html', page.url()).href)
  await goBack(page)
  expect(await reasons).toContain('UnloadHandlerExistsInMainFrame')
})

test('the server can clear the site', async ({ launch }) => {
  const context = await launch()
  const page = await openPage(context)
  await run(page, 'page', put, 1)
  await (await context.newPage()).goto(new URL('/__clear-site-data', page.url()).href)
  expect(await run(await openPage(context), 'page', count)).toBe(0)
})

test('errors that nobody caught are seen in every realm', onOneStorage, async ({ launch, takeErrors }) => {
  const page = await openPage(await launch())
  const realms = ['page', 'dedicated', 'shared', 'service'] as const
  for (const realm of realms) {
    await run(page, realm, (_, realm) => void Promise.reject(new Error(`rejected in ${realm}`)), realm)
    await run(
      page,
      realm,
      (_, realm) =>
        void setTimeout(() => {
          throw new Error(`thrown in ${realm}`)
        }),
      realm,
    )
  }
  const seen: string[] = []
  for (const expected of realms.flatMap((realm) => [`rejected in ${realm}`, `thrown in ${realm}`])) {
    await expect.poll(async () => seen.push(...(await takeErrors())) && seen.join()).toContain(expected)
  }
  expect(seen).toHaveLength(8)
})

function visibility(page: Page): Promise<DocumentVisibilityState> {
  return page.evaluate(() => document.visibilityState)
}

function put(_: unknown, key: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('rig', 1)
    request.onupgradeneeded = () => request.result.createObjectStore('rows')
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      const write = request.result.transaction('rows', 'readwrite', { durability: 'strict' })
      write.objectStore('rows').put('row', key)
      write.oncomplete = () => resolve()
      write.onabort = () => reject(write.error)
    }
  })
}

function count(): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('rig', 1)
    request.onupgradeneeded = () => request.result.createObjectStore('rows')
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      const rows = request.result.transaction('rows').objectStore('rows').count()
      rows.onsuccess = () => resolve(rows.result)
      rows.onerror = () => reject(rows.error)
    }
  })
}
