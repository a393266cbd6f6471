// The examples that sync: two browsers, one list, and a server that one of them cannot always reach.
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContext, Page } from '@playwright/test'
import { scratch } from '../../scripts/scratch.mjs'
import { expect, onOneStorage, test } from '../support/e2e.js'
import { todoServer } from '../support/todo-server.js'

const frameworks = ['react-sync', 'vanilla-sync'] as const

const rows = (page: Page) => page.getByRole('list', { name: 'To-dos' }).getByRole('listitem')
const row = (page: Page, title: string) => rows(page).filter({ hasText: title })
const dots = (page: Page) => page.getByRole('img', { name: 'Not sent yet' })
const refused = (page: Page) => page.getByRole('list', { name: 'Refused' }).getByRole('listitem')
const state = (page: Page) => page.getByRole('status')
const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()

async function add(page: Page, title: string): Promise<void> {
  await page.getByRole('textbox', { name: 'New to-do' }).fill(title)
  await page.keyboard.press('Enter')
}

for (const framework of frameworks) {
  /** Two browsers with profiles of their own, and a server for both. */
  const devices = async (
    launch: (options?: { profile?: string }) => Promise<BrowserContext>,
    work: (one: Page, other: Page, server: Awaited<ReturnType<typeof todoServer>>) => Promise<void>,
  ) => {
    const profile = mkdtempSync(join(scratch(), 'tidemark-other-device-'))
    const server = await todoServer()
    const contexts = [await launch(), await launch({ profile })]
    try {
      const pages: Page[] = []
      for (const context of contexts) {
        await server.serve(context)
        const page = await context.newPage()
        await page.goto(`http://localhost:${process.env['TIDEMARK_EXAMPLES_E2E_PORT']}/${framework}/`)
        await expect(state(page)).toHaveText('All is sent')
        pages.push(page)
      }
      const [one, other] = pages as [Page, Page]
      await work(one, other, server)
    } finally {
      await contexts[1]?.close()
      await server.close()
      rmSync(profile, { recursive: true, force: true })
    }
  }

  test(
    `${framework}: what one browser does appears in the other, also after a time offline`,
    onOneStorage,
    async ({ launch }) => {
      await devices(launch, async (one, other) => {
        await add(one, 'Milk')
        await expect(row(other, 'Milk')).toBeVisible()
        await expect(dots(one)).toHaveCount(0)

        await one.context().setOffline(true)
        await add(one, 'Bread')
        await row(one, 'Milk').getByRole('checkbox').click()
        await expect(row(one, 'Bread')).toBeVisible()
        await expect(row(one, 'Milk').getByRole('checkbox')).toBeChecked()
        await expect(dots(one)).toHaveCount(2)
        await expect(state(one)).toHaveText(/, 2 to send$/)
        // Meanwhile, and still there after a reload without a network for the server.
        await add(other, 'Salt')
        await expect(rows(other)).toHaveCount(2)

        await one.context().setOffline(false)
        await press(one, 'Sync now')
        await expect(state(one)).toHaveText('All is sent')
        await expect(dots(one)).toHaveCount(0)
        for (const page of [one, other]) {
          await expect(rows(page)).toHaveCount(3)
          await expect(row(page, 'Milk').getByRole('checkbox')).toBeChecked()
        }
        const titles = (page: Page) => rows(page).allInnerTexts()
        await expect.poll(() => titles(other)).toEqual(await titles(one))
      })
    },
  )

  test(
    `${framework}: what the server refuses is shown with its reason, and can be sent again or discarded`,
    onOneStorage,
    async ({ launch }) => {
      await devices(launch, async (one, other, server) => {
        await add(one, 'MILK')
        await add(one, 'SALT')
        await expect(refused(one)).toHaveCount(2)
        await expect(rows(one)).toHaveCount(0)
        await expect(refused(one).first()).toHaveText(/“MILK” was not taken: This list takes no shouting\./)
        await expect(state(one)).toHaveText('2 not taken, all else is sent')
        await one.reload()
        await expect(refused(one)).toHaveCount(2)
        await refused(one).filter({ hasText: 'SALT' }).getByRole('button', { name: 'Discard' }).click()
        await expect(refused(one)).toHaveCount(1)
        server.allowShouting()
        await refused(one).getByRole('button', { name: 'Try again' }).click()
        await expect(refused(one)).toHaveCount(0)
        await expect(row(one, 'MILK')).toBeVisible()
        await expect(row(other, 'MILK')).toBeVisible()
        await expect(state(one)).toHaveText('All is sent')
      })
    },
  )

  test(
    `${framework}: who signs out with something unsent is told, and finds it again`,
    onOneStorage,
    async ({ launch }) => {
      await devices(launch, async (one, other) => {
        await one.context().setOffline(true)
        await add(one, 'Milk')
        await expect(dots(one)).toHaveCount(1)
        await press(one, 'Sign in as bert')
        await expect(one.getByText('1 not sent yet.')).toBeVisible()
        await press(one, 'Stay')
        await expect(rows(one)).toHaveCount(1)
        await press(one, 'Sign in as bert')
        await press(one, 'Leave all the same')
        await expect(one.getByText('Signed in: bert')).toBeVisible()
        await expect(rows(one)).toHaveCount(0)
        await one.context().setOffline(false)
        await press(one, 'Sync now')
        await expect(state(one)).toHaveText('All is sent')
        await expect(rows(other)).toHaveCount(0)
        await press(one, 'Sign in as anna')
        await expect(row(one, 'Milk')).toBeVisible()
        await expect(row(other, 'Milk')).toBeVisible()
      })
    },
  )
}
