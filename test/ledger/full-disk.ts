/** H29: a disk that is really full. The profile lies on a small file system of its own, which is filled up and freed again under a running page. */
import { execFile } from 'node:child_process'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Tidemark } from '../e2e/harness/rpc.js'
import type { LedgerBrowser, LedgerEngine, LedgerPage } from './browser.js'
import { limited } from './limit.js'

/** Enough for a new profile of any engine and for some megabytes of events. */
const size = '256m'
const store = 'full'
const workLimit = 90_000

/** One attempt to append that failed. */
interface Failure {
  readonly id: string
  readonly code: string
  readonly outcome: string
  /** The browser's own error. */
  readonly cause: string
}

interface Filled {
  readonly acknowledged: readonly string[]
  readonly failures: readonly Failure[]
}

export interface FullDiskResult {
  readonly engine: string
  readonly version: string
  /** Appends acknowledged before the disk was full, on it, and after it was freed. */
  readonly acknowledged: { readonly before: number; readonly full: number; readonly after: number }
  /** How appends failed, and how often. */
  readonly failed: Readonly<Record<string, number>>
  /** What opening another store said on the full disk. */
  readonly opening: string
  /** How long after the disk was freed the first append succeeded in the page as it was, ms; what it took else. */
  readonly healed: number | 'a reload' | 'a new browser' | 'never'
  readonly problems: readonly string[]
}

/** @throws if no file system can be mounted, with what to do */
export async function fillDisk(engine: LedgerEngine, url: string): Promise<FullDiskResult> {
  const folder = await mkdtemp(join(tmpdir(), `tidemark-full-disk-${engine.name}-`))
  await mount(folder)
  try {
    return await play(engine, url, folder)
  } finally {
    await promisify(execFile)('umount', ['--lazy', folder])
    await rm(folder, { recursive: true, force: true })
  }
}

async function mount(folder: string): Promise<void> {
  try {
    await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tidemark-full-disk', folder])
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw new Error(`A full disk needs a file system of its own, and mounting a tmpfs failed. Run it as root on Linux. ${String(error)}`)
  }
}

async function play(engine: LedgerEngine, url: string, folder: string): Promise<FullDiskResult> {
  const profile = join(folder, 'profile')
  let browser = await engine.start(profile, url)
  const problems: string[] = []
  try {
    let page = await browser.openPage()
    const before = await run(page, appendUntilItFails, { store, prefix: 'before', times: 20, failures: 1 })
    if (before.failures.length > 0) throw new Error(`The disk was full from the start: ${JSON.stringify(before.failures)}`)

    const filler = join(folder, 'filler')
    await fill(filler)
    const full = await run(page, appendUntilItFails, { store, prefix: 'full', times: 2_000, failures: 12 })
    if (full.failures.length === 0) problems.push('no append failed on a full disk')
    for (const { id, code, outcome, cause } of full.failures) {
      if (!code.startsWith('storage-')) problems.push(`append ${id} failed on a full disk with ${code}, ${outcome} (${cause})`)
    }
    const opening = await run(page, openAnother, undefined)

    await rm(filler)
    let healed: FullDiskResult['healed'] = await run(page, appendUntilItWorks, { store, id: 'healed-0' })
    if (healed < 0) {
      healed = 'a reload'
      page = await browser.openPage()
      if ((await run(page, appendUntilItWorks, { store, id: 'healed-1' })) < 0) healed = 'never'
    }
    const after = await run(page, appendUntilItFails, { store, prefix: 'after', times: 20, failures: 1 })
    problems.push(...after.failures.map((failure) => `on the freed disk: ${JSON.stringify(failure)}`))
    const acknowledged = [...before.acknowledged, ...full.acknowledged, ...after.acknowledged]
    problems.push(...(await examine(page, acknowledged, full.failures)))

    // And what is on the disk is what the page was told.
    const kill = await browser.killTree()
    kill()
    if ((await limited(browser.gone, workLimit)).state !== 'done') throw new Error('The browser did not end')
    browser = await engine.start(profile, url)
    page = await browser.openPage()
    problems.push(...(await examine(page, acknowledged, [])).map((problem) => `after a kill: ${problem}`))
    await engine.assertStorage(profile, url)
    return {
      engine: engine.name, version: browser.version, opening, healed, problems, failed: counted(full.failures),
      acknowledged: { before: before.acknowledged.length, full: full.acknowledged.length, after: after.acknowledged.length },
    }
  } finally {
    await end(browser)
  }
}

async function end(browser: LedgerBrowser): Promise<void> {
  const kill = await browser.killTree()
  if ((await limited(browser.close(), workLimit)).state !== 'done') kill()
}

function counted(failures: readonly Failure[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { code, outcome, cause } of failures) counts[`${code}, ${outcome} (${cause})`] = (counts[`${code}, ${outcome} (${cause})`] ?? 0) + 1
  return counts
}

/** Writes until there is no room for a single byte. */
async function fill(path: string): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (let length = 1 << 20; length >= 1; length = length > 1 ? length >> 4 || 1 : 0) {
      const chunk = Buffer.alloc(length, 1)
      try {
        for (;;) await file.write(chunk)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      }
    }
  } finally {
    await file.close()
  }
}

async function run<Result, Arg>(page: LedgerPage, body: Parameters<typeof page.run<Result, Arg>>[1], arg: Arg): Promise<Result> {
  const answer = await limited(page.run('page', body, arg), workLimit)
  if (answer.state === 'done') return answer.value
  throw answer.state === 'failed' ? answer.error : new Error(`No answer within ${workLimit} ms`)
}

/** Every acknowledged event is there once, no failed one that said 'not-written'; what failed can be appended again. */
async function examine(page: LedgerPage, acknowledged: readonly string[], failures: readonly Failure[]): Promise<string[]> {
  const found = await run(page, readAll, { store, repeat: failures.map(({ id }) => id) })
  const there = new Map<string, number>()
  for (const id of found.before) there.set(id, (there.get(id) ?? 0) + 1)
  const again = new Set(found.after)
  const lost = acknowledged.filter((id) => !there.has(id))
  return [
    ...(lost.length > 0 ? [`${lost.length} of ${acknowledged.length} acknowledged events are lost, and ${found.before.length} events are there`] : []),
    ...[...there].filter(([, times]) => times > 1).map(([id, times]) => `${id} is there ${times} times`),
    ...failures.filter(({ id, outcome }) => outcome === 'not-written' && there.has(id)).map(({ id, code }) => `${id} failed with ${code}, not-written, and is there`),
    ...failures.filter(({ id }) => !again.has(id)).map(({ id }) => `${id} was appended again and is not there`),
    ...(again.size === found.after.length ? [] : ['an event that was appended again is there twice']),
    ...found.defects,
  ]
}

// Sent as source, so none of these may refer to anything outside itself.

type State = Record<string, any>

/** Appends events of 40 kB, strict and relaxed by turns, until so many have failed. */
async function appendUntilItFails(
  tidemark: Tidemark, { store, prefix, times, failures }: { readonly store: string; readonly prefix: string; readonly times: number; readonly failures: number }, state: State,
): Promise<Filled> {
  const opened = (state['store'] ??= await tidemark.openEventStore({ name: store }))
  const data = Array.from(crypto.getRandomValues(new Uint8Array(20_000)), (byte) => byte.toString(16).padStart(2, '0')).join('')
  const acknowledged: string[] = []
  const failed: { id: string; code: string; outcome: string; cause: string }[] = []
  for (let n = 0; n < times && failed.length < failures; n += 1) {
    const id = `${prefix}-${n}`
    try {
      await opened.append({ stream: `s${n % 3}`, events: [{ type: 'Filled', data, id }] }, { durability: n % 2 === 0 ? 'strict' : 'relaxed' })
      acknowledged.push(id)
    } catch (error: any) {
      failed.push({ id, code: error?.code ?? String(error), outcome: String(error?.outcome), cause: error?.cause?.name ?? String(error?.cause) })
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  return { acknowledged, failures: failed }
}

/** A store that is not there yet needs room as well. */
async function openAnother(tidemark: Tidemark): Promise<string> {
  try {
    const other = await tidemark.openEventStore({ name: 'another' })
    await other.close()
    return 'opened'
  } catch (error: any) {
    return `${error?.code ?? String(error)} (${error?.cause?.name ?? String(error?.cause)})`
  }
}

/** How long it took until an append succeeded, ms; -1 if it did not in 40 s. */
async function appendUntilItWorks(tidemark: Tidemark, { store, id }: { readonly store: string; readonly id: string }, state: State): Promise<number> {
  const began = performance.now()
  while (performance.now() < began + 40_000) {
    try {
      const opened = (state['store'] ??= await tidemark.openEventStore({ name: store }))
      await opened.append({ stream: 'healed', events: [{ type: 'Filled', data: null, id }] })
      return Math.round(performance.now() - began)
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  return -1
}

/** The ids in the log, before and after the repeated ones are appended again; and what the package finds wrong. */
async function readAll(
  tidemark: Tidemark, { store, repeat }: { readonly store: string; readonly repeat: readonly string[] }, state: State,
): Promise<{ before: string[]; after: string[]; defects: string[] }> {
  const opened = (state['store'] ??= await tidemark.openEventStore({ name: store }))
  const ids = async () => {
    const found: string[] = []
    for await (const { id } of opened.read()) found.push(id)
    return found
  }
  const before = await ids()
  for (const id of repeat) await opened.append({ stream: 'again', events: [{ type: 'Filled', data: null, id }] })
  const { defects } = await tidemark.verifyEventStore(opened)
  return { before, after: await ids(), defects: defects.map((defect: unknown) => JSON.stringify(defect)) }
}
