// Each example that Vite builds, alone in a folder with the package as it is published: installed, built, and served while it is developed.
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { apps, run } from './support.js'

const from = fileURLToPath(new URL('../../examples', import.meta.url))
const names = readdirSync(from).filter((name) => existsSync(join(from, name, 'vite.config.ts')))
const isSource = (path: string) => !['node_modules', 'dist', '.next'].includes(basename(path))

// Outside of the repository: what an example does not install is not found.
let examples: string
beforeAll(() => {
  examples = mkdtempSync(join(tmpdir(), 'tidemark-examples-'))
  for (const name of [...names, 'shared'])
    cpSync(join(from, name), join(examples, name), { recursive: true, filter: isSource })
})
afterAll(() => rmSync(examples, { recursive: true, force: true }))

// Two at a time: npm waits for the disk and the network, and builds take the processors.
const lanes: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()]
function inLane<T>(at: number, work: () => Promise<T>): Promise<T> {
  const lane = at % lanes.length
  const done = lanes[lane]!.then(work)
  lanes[lane] = done.catch(() => {})
  return done
}

async function expectRun(folder: string, ...args: string[]): Promise<void> {
  const { code, printed } = await run('npm', args, relative(apps, folder))
  expect(code, printed).toBe(0)
}

/** Calls back with the address of what `npm run dev` starts, which ends after that. */
async function whileServed(folder: string, use: (url: string) => Promise<void>): Promise<void> {
  const vite = join(folder, 'node_modules', 'vite', 'bin', 'vite.js')
  const { NODE_ENV: _env, VITEST: _vitest, ...env } = process.env
  const server = spawn(process.execPath, [vite, '--host', '127.0.0.1', '--port', '0'], {
    cwd: folder,
    env: { ...env, NO_COLOR: '1' },
  })
  try {
    await use(
      await new Promise<string>((resolve, reject) => {
        let log = ''
        const read = (text: Buffer) => {
          log += text.toString()
          const [url] = /http:\/\/127\.0\.0\.1:\d+\//.exec(log) ?? []
          if (url !== undefined) resolve(url)
        }
        server.stdout.on('data', read)
        server.stderr.on('data', read)
        server.once('exit', (code) => reject(new Error(`Vite ended with ${code}: ${log}`)))
        setTimeout(() => reject(new Error(`Vite did not start within 60 s: ${log}`)), 60_000).unref()
      }),
    )
  } finally {
    server.kill()
  }
}

/** What a browser loads: the page, its modules, and all that they import. Resolves to their addresses. */
async function loadAll(url: string): Promise<string[]> {
  const get = async (address: string): Promise<string> => {
    const response = await fetch(address, { signal: AbortSignal.timeout(60_000) })
    const text = await response.text()
    expect(response.status, `${address}: ${text}`).toBe(200)
    return text
  }
  const [, main = ''] = /<script type="module" src="(\/src\/[^"]+)"/.exec(await get(url)) ?? []
  const found = new Set([new URL(main, url).href])
  // A set is iterated together with what is added meanwhile.
  for (const address of found) {
    const code = await get(address)
    for (const [, to = ''] of code.matchAll(/(?:^|;)\s*(?:import|export)\b(?!\.)[^'"\n;]*"([./][^"\n]*)"/gm))
      found.add(new URL(to, address).href)
  }
  return [...found]
}

test('all of them are tried', () => {
  expect(names).toEqual(expect.arrayContaining(['lit', 'react', 'service-worker', 'solid', 'svelte', 'vanilla', 'vue']))
})

test.concurrent.for(names.map((name, at) => [name, at] as const))(
  'examples/%s is installed, built and served by itself',
  { timeout: 15 * 60_000 },
  ([name, at]) =>
    inLane(at, async () => {
      const folder = join(examples, name)
      const manifest = join(folder, 'package.json')
      const text = readFileSync(manifest, 'utf8')
      expect(text).toContain('"file:../.."')
      writeFileSync(manifest, text.replace('file:../..', `file:${inject('packageTarball')}`))
      await expectRun(folder, 'install', '--prefer-offline', '--no-audit', '--no-fund')
      await expectRun(folder, 'run', 'build')
      const assets = readdirSync(join(folder, 'dist', 'assets'))
      const code = assets
        .filter((file) => file.endsWith('.js'))
        .map((file) => readFileSync(join(folder, 'dist', 'assets', file), 'utf8'))
      // The code of errors is in it, and the text is not: the production build of the package.
      expect(code.join('')).toContain('version-conflict')
      expect(code.join('')).not.toContain('but the append expected')

      await whileServed(folder, async (url) => {
        const loaded = (await loadAll(url)).map((address) => new URL(address).pathname)
        expect(loaded).toContainEqual(expect.stringMatching(/\/shared\/todo\.ts$/))
        expect(loaded).toContainEqual(expect.stringMatching(/\.vite\/deps\/tidemark\.js$/))
      })
      // It takes some 80 MB.
      rmSync(join(folder, 'node_modules'), { recursive: true, force: true })
    }),
)
