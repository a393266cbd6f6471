// One app in six frameworks: what a user sees and does is the same in each.
import AxeBuilder from '@axe-core/playwright'
import type { BrowserContext, Page } from '@playwright/test'
import { expect, onOneStorage, test } from '../support/e2e.js'

const frameworks = ['vanilla', 'react', 'vue', 'svelte', 'solid', 'lit'] as const

const rows = (page: Page) => page.getByRole('list', { name: 'To-dos' }).getByRole('listitem')
const done = (page: Page, title: string) => page.getByRole('checkbox', { name: title })
const title = (page: Page, of: string) => page.getByRole('textbox', { name: `Title of ${of}` })
const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()
const left = (page: Page) => page.getByRole('status')

async function add(page: Page, ...titles: string[]): Promise<void> {
  for (const each of titles) {
    await page.getByRole('textbox', { name: 'New to-do' }).fill(each)
    await page.keyboard.press('Enter')
    await expect(title(page, each)).toBeVisible()
  }
}

const titles = (page: Page) =>
  rows(page)
    .getByRole('textbox')
    .evaluateAll((inputs) => inputs.map((input) => (input as HTMLInputElement).value))

for (const framework of frameworks) {
  const open = async (context: BrowserContext, expected?: RegExp): Promise<Page> => {
    const page = await context.newPage()
    const problems: string[] = []
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type()) && expected?.test(message.text()) !== true)
        problems.push(message.text())
    })
    page.on('close', () => expect.soft(problems, 'the console').toEqual([]))
    await page.goto(`http://localhost:${process.env['TIDEMARK_EXAMPLES_E2E_PORT']}/${framework}/`)
    await expect(left(page)).toHaveText('0 things left')
    return page
  }

  test(
    `${framework}: add, toggle, rename, delete, filter, clear, and all of it is there after a reload`,
    onOneStorage,
    async ({ launch }) => {
      const page = await open(await launch())
      await add(page, 'Milk', 'Bread', 'Salt', 'Rice')
      await expect(page.getByRole('textbox', { name: 'New to-do' })).toHaveValue('')
      expect(await titles(page)).toEqual(['Milk', 'Bread', 'Salt', 'Rice'])
      await expect(left(page)).toHaveText('4 things left')

      await done(page, 'Bread').click()
      await done(page, 'Rice').click()
      await expect(left(page)).toHaveText('2 things left')
      await expect(done(page, 'Bread')).toBeChecked()

      await title(page, 'Milk').fill('Oat milk')
      await page.keyboard.press('Enter')
      await expect(title(page, 'Oat milk')).toBeFocused()
      await expect(title(page, 'Oat milk')).toHaveValue('Oat milk')

      await press(page, 'done')
      await expect(rows(page)).toHaveCount(2)
      expect(await titles(page)).toEqual(['Bread', 'Rice'])
      await done(page, 'Bread').click()
      await expect(rows(page)).toHaveCount(1)
      await press(page, 'open')
      await expect(rows(page)).toHaveCount(3)
      expect(await titles(page)).toEqual(['Oat milk', 'Bread', 'Salt'])
      await expect(page.getByRole('button', { name: 'open', exact: true })).toHaveAttribute('aria-pressed', 'true')

      await press(page, 'all')
      await press(page, 'Delete Salt')
      await press(page, 'Clear done')
      await expect(rows(page)).toHaveCount(2)
      await expect(left(page)).toHaveText('2 things left')
      await page.reload()
      await expect(rows(page)).toHaveCount(2)
      expect(await titles(page)).toEqual(['Oat milk', 'Bread'])
      await expect(done(page, 'Bread')).not.toBeChecked()
      await page.close()
    },
  )

  test(
    `${framework}: two tabs show the same, also offline, and what is being typed stays`,
    onOneStorage,
    async ({ launch }) => {
      const context = await launch()
      const [one, other] = [await open(context), await open(context)]
      await add(one, 'Milk', 'Bread')
      await expect(rows(other)).toHaveCount(2)

      await context.setOffline(true)
      // A title that is being edited, in one tab, while the other tab changes another row.
      await title(one, 'Milk').fill('Oat mi')
      await add(other, 'Salt')
      await done(other, 'Bread').click()
      await expect(rows(one)).toHaveCount(3)
      await expect(done(one, 'Bread')).toBeChecked()
      await expect(title(one, 'Milk')).toBeFocused()
      await one.keyboard.type('lk')
      await one.keyboard.press('Enter')
      await expect(title(other, 'Oat milk')).toHaveValue('Oat milk')

      await context.setOffline(false)
      await Promise.all([one.reload(), other.reload()])
      for (const page of [one, other]) {
        await expect(rows(page)).toHaveCount(3)
        expect(await titles(page)).toEqual(['Oat milk', 'Bread', 'Salt'])
        await expect(left(page)).toHaveText('2 things left')
      }
      await Promise.all([one.close(), other.close()])
    },
  )

  test(`${framework}: says that something is not saved, until the next thing is`, onOneStorage, async ({ launch }) => {
    const page = await open(await launch())
    await add(page, 'Milk')
    await expect(page.getByRole('alert')).toHaveText('')
    // As on a full disk.
    await page.evaluate(() => {
      const add = IDBObjectStore.prototype.add
      IDBObjectStore.prototype.add = () => {
        throw new DOMException('full', 'QuotaExceededError')
      }
      Object.assign(window, { heal: () => (IDBObjectStore.prototype.add = add) })
    })
    await done(page, 'Milk').click()
    await expect(page.getByRole('alert')).toHaveText(/^Not saved\. .+/)
    await expect(left(page)).toHaveText('1 thing left')
    await expect(done(page, 'Milk')).not.toBeChecked()
    await page.evaluate(() => (window as unknown as { heal(): void }).heal())
    await add(page, 'Bread')
    await expect(page.getByRole('alert')).toHaveText('')
    await expect(rows(page)).toHaveCount(2)
    await page.close()
  })

  test(`${framework}: says that the list cannot be read, until it can`, onOneStorage, async ({ launch }) => {
    const page = await open(await launch(), /^StorageFailedError/)
    await add(page, 'Milk')
    await page.evaluate(() => {
      const { getAll } = IDBIndex.prototype
      IDBIndex.prototype.getAll = () => {
        throw new DOMException('torn', 'DataError')
      }
      Object.assign(window, { heal: () => (IDBIndex.prototype.getAll = getAll) })
    })
    await press(page, 'open')
    await expect(page.getByRole('alert')).not.toHaveText('')
    await page.evaluate(() => (window as unknown as { heal(): void }).heal())
    await expect(page.getByRole('alert')).toHaveText('', { timeout: 15_000 })
    await expect(rows(page)).toHaveCount(1)
    await page.close()
  })

  test(
    `${framework}: by keyboard, on a phone, in light and dark, without what axe finds`,
    onOneStorage,
    async ({ launch }) => {
      const page = await open(await launch())
      await page.setViewportSize({ width: 360, height: 740 })
      await page.getByRole('textbox', { name: 'New to-do' }).focus()
      await page.keyboard.type('A thing with a title that is so long that it does not fit into the width of a phone')
      await page.keyboard.press('Enter')
      await expect(rows(page)).toHaveCount(1)
      // Add, three filters, the checkbox.
      for (let times = 0; times < 5; times += 1) await page.keyboard.press('Tab')
      await page.keyboard.press('Space')
      await expect(left(page)).toHaveText('0 things left')
      await page.keyboard.press('Space')
      await expect(left(page)).toHaveText('1 thing left')
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360)
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        const { violations } = await new AxeBuilder({ page }).analyze()
        expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([])
      }
      await page.keyboard.press('Tab')
      await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      await expect(rows(page)).toHaveCount(0)
      await page.close()
    },
  )
}

test(
  'service-worker: the page opens without a network, and a push message adds a row while no page is open',
  onOneStorage,
  async ({ launch }) => {
    const context = await launch()
    const page = await context.newPage()
    const address = `http://localhost:${process.env['TIDEMARK_EXAMPLES_E2E_PORT']}/service-worker/`
    const session = await context.newCDPSession(page)
    const registered = new Promise<string>((resolve) =>
      session.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
        for (const { registrationId, scopeURL } of registrations) if (scopeURL === address) resolve(registrationId)
      }),
    )
    await session.send('ServiceWorker.enable')
    await page.addInitScript(() => {
      const { SyncManager } = window as unknown as { SyncManager: { prototype: { register(tag: string): unknown } } }
      const { register } = SyncManager.prototype
      SyncManager.prototype.register = function (tag) {
        Object.assign(window, { tag })
        return register.call(this, tag)
      }
    })
    await page.goto(address)
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}))
    await expect.poll(() => page.evaluate(() => (window as unknown as { tag?: string }).tag)).toBe('catch-up')
    await add(page, 'Milk')

    await context.setOffline(true)
    await page.reload()
    await expect(title(page, 'Milk')).toBeVisible()
    await add(page, 'Bread')
    await context.setOffline(false)

    await page.goto('about:blank')
    await session.send('ServiceWorker.deliverPushMessage', {
      origin: new URL(address).origin,
      registrationId: await registered,
      data: 'Salt',
    })
    await page.goto(address)
    await expect(title(page, 'Salt')).toBeVisible()
    expect(await titles(page)).toEqual(['Milk', 'Bread', 'Salt'])
  },
)
