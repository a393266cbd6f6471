// node scripts/pictures.mjs: takes the pictures of docs/sync.md again, of the board for two of the demo, on a phone, in
// light and dark: two browsers, and a server in between.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { chromium } from '@playwright/test'
import { chromiumArgs, findChromium } from './find-browser.mjs'
import { readFlags } from './flags.mjs'

readFlags(import.meta.url)

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = join(root, 'docs', 'pictures')
const phone = { width: 390, height: 844 }
/** The largest picture, in bytes. */
const most = 60 * 1024

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

const port = await freePort()
const url = `http://localhost:${port}/shared.html`
const vite = [join(root, 'node_modules', 'vite', 'bin', 'vite.js'), '--config', 'demo/vite.config.ts']
const server = spawn(process.execPath, [...vite, '--port', `${port}`, '--strictPort'], { cwd: root, stdio: 'inherit' })
const profiles = mkdtempSync(join(tmpdir(), 'tidemark-pictures-'))
mkdirSync(folder, { recursive: true })

/** One device: a browser with a profile of its own. */
async function device(name, colorScheme) {
  const context = await chromium.launchPersistentContext(join(profiles, name), {
    executablePath: findChromium().path,
    args: chromiumArgs(),
    viewport: phone,
    deviceScaleFactor: 2,
    colorScheme,
    reducedMotion: 'reduce',
  })
  return { context, page: context.pages()[0] ?? (await context.newPage()) }
}

const ready = (page) => page.locator('html[data-ready]').waitFor()
const departure = (page, flight) => page.locator('.departures li', { hasText: flight })
const airplane = (page) => page.getByRole('switch', { name: 'Airplane mode' })

async function press(page, name) {
  await page.getByRole('button', { name, exact: true }).click()
  await page.locator('button[aria-busy]').waitFor({ state: 'detached' })
}
const choose = (page, flight) => page.getByRole('radio', { name: flight }).check()
async function delay(page, flight, minutes) {
  await choose(page, flight)
  await page.getByRole('spinbutton', { name: 'Minutes late' }).fill(`${minutes}`)
  await press(page, 'Report delay')
}
async function giveGate(page, flight, gate) {
  await choose(page, flight)
  await page.getByRole('combobox', { name: 'Gate' }).selectOption(gate)
  await press(page, 'Give gate')
}
const says = (page, text) => page.locator('#status', { hasText: text }).waitFor()

/** Stores what is between the tops and bottoms of these parts of the page, as WebP, which the browser makes. */
async function take(page, name, from, to = from) {
  await page.evaluate(() => document.activeElement?.blur())
  // Notices lie over what is shown.
  await page.addStyleTag({ content: '#toast { display: none }' })
  await page.mouse.move(0, 0)
  const [top, bottom] = [await from.boundingBox(), await to.boundingBox()]
  const scroll = await page.evaluate(() => scrollY)
  const y = Math.max(0, top.y + scroll - 12)
  const clip = { x: 0, y, width: phone.width, height: bottom.y + scroll + bottom.height + 1 - y }
  const png = await page.screenshot({ fullPage: true, clip, animations: 'disabled' })
  const webp = await page.evaluate(async (base64) => {
    const blob = await (await fetch(`data:image/png;base64,${base64}`)).blob()
    const image = await createImageBitmap(blob)
    const canvas = new OffscreenCanvas(image.width, image.height)
    canvas.getContext('2d').drawImage(image, 0, 0)
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: 'image/webp', quality: 0.8 })).arrayBuffer())
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
  }, png.toString('base64'))
  const bytes = Buffer.from(webp, 'base64')
  console.log(`${name}.webp: ${bytes.length} bytes, ${clip.width} × ${Math.round(clip.height)}`)
  if (bytes.length > most) throw new Error(`${name} is larger than ${most} bytes`)
  writeFileSync(join(folder, `${name}.webp`), bytes)
}

async function pictures(scheme) {
  const [one, two] = [await device(`${scheme}-1`, scheme), await device(`${scheme}-2`, scheme)]
  const shot = (page, name, from, to) => take(page, `${name}-${scheme}`, from, to)
  try {
    await one.page.goto(url)
    await ready(one.page)
    await one.page.getByRole('button', { name: 'Start a shared board' }).click()
    await one.page.waitForURL(/#[a-z0-9]{12}$/)
    await ready(one.page)
    await two.page.goto(await one.page.locator('.address').innerText())
    await ready(two.page)
    for (const { page } of [one, two]) await says(page, 'In step')

    for (const { page } of [one, two]) await airplane(page).check()
    await giveGate(one.page, 'TM 114', '1')
    await giveGate(two.page, 'TM 208', '1')
    await delay(two.page, 'TM 331', 25)
    await says(two.page, '2 changes wait')
    await shot(two.page, 'sync-pending', two.page.locator('#device .switch'), departure(two.page, 'TM 331'))

    await airplane(one.page).uncheck()
    await says(one.page, 'In step')
    await airplane(two.page).uncheck()
    await two.page.locator('.refused li').waitFor()
    await departure(two.page, 'TM 114').getByText('Gate 1').waitFor()
    await shot(two.page, 'sync-refused', two.page.locator('#device .switch'), departure(two.page, 'TM 331'))

    await press(one.page, 'Back up now')
    await delay(one.page, 'TM 114', 25)
    await says(one.page, 'In step')
    await press(one.page, 'Restore the backup')
    await one.page.locator('#notice', { hasText: 'Restored' }).waitFor()
    for (const { page } of [one, two]) await press(page, 'Sync now')
    await says(one.page, 'In step')
    await departure(one.page, 'TM 114').getByText('+25 min').waitFor()
    await one.page.locator('#server .facts dd', { hasText: /^3$/ }).waitFor()
    await shot(one.page, 'sync-healed', one.page.locator('#server-title'), one.page.locator('#log .entries'))
  } finally {
    for (const { context } of [one, two]) await context.close()
  }
}

try {
  for (let tries = 0; ; tries += 1) {
    if (
      await fetch(url).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      break
    if (tries > 100) throw new Error('the demo does not start')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  for (const scheme of ['light', 'dark']) await pictures(scheme)
} finally {
  server.kill()
  rmSync(profiles, { recursive: true, force: true })
}
