/** H29: a disk that is really full. The profile lies on a small file system of its own, which is filled up and freed again under a running page. */
import { execFile } from 'node:child_process'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Tidemark } from '../e2e/harness/rpc.js'
import type { LedgerBrowser, LedgerEngine, LedgerPage } from './browser.js'
import { limited } from './limit.js'

/** Enough for a new profile of any engine and for some megabytes of events. */
const size = '256m'
const store = 'full'
const workLimit = 90_000
/** How long after space was freed the storage has to be sound at the latest, ms. */
const healingLimit = 60_000

/**
 * What happens once appends have failed on the full disk. In each, the browser is killed at the end, and started again to see what is there.
 *
 * - `killed later`: space is freed, and the browser is killed some time after the store said that it is healed
 * - `killed at once`: the same, in the moment in which the store says so
 * - `filled again`: the disk is filled again while the store heals, until appends fail, and freed again
 * - `reloaded`: the page is loaded again as soon as space was freed
 * - `tab closed`: the page is closed as soon as space was freed, and another one, which stored nothing, is still there
 * - `three tabs`: two more pages have the store open, and one of the three heals it
 * - `killed when full`: the browser is killed on the full disk, and started again when space was freed. Only if the new page says that it knows
 *   of the danger, something is promised
 * - `killed while healing`: nothing is promised
 */
export const situations = [
  'killed later',
  'killed at once',
  'filled again',
  'reloaded',
  'tab closed',
  'three tabs',
  'killed when full',
  'killed while healing',
] as const
export type Situation = (typeof situations)[number]

/** Where nothing is reported, there is nothing to wait for. */
export const situationsOf = (engine: LedgerEngine): readonly Situation[] =>
  engine.name === 'chromium-leveldb' ? situations : ['killed later', 'filled again', 'reloaded', 'killed when full']

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
  readonly situation: Situation
  readonly version: string
  /** Appends acknowledged before the disk was full, on it, and after it was freed. */
  readonly acknowledged: { readonly before: number; readonly full: number; readonly after: number }
  /** How appends failed, and how often. */
  readonly failed: Readonly<Record<string, number>>
  /** What opening another store said on the full disk. */
  readonly opening: string
  /** How long after the disk was freed the first append succeeded in the page as it was, ms; what it took else. */
  readonly worked: number | 'a reload' | 'never' | 'not tried'
  /** How long after that the store said that it is healed, ms. */
  readonly healed: number | 'not reported' | 'never'
  /** When the browser was killed, ms after the last thing that was waited for. */
  readonly killedAfter: number
  /** Acknowledged events that were lost where nothing is promised. */
  readonly lost?: number
  /** How often each of several pages made and deleted the database that heals. */
  readonly rounds?: readonly number[]
  readonly problems: readonly string[]
}

/** @throws if no file system can be mounted, with what to do */
export async function fillDisk(engine: LedgerEngine, url: string, situation: Situation): Promise<FullDiskResult> {
  const folder = await mkdtemp(join(tmpdir(), `tidemark-full-disk-${engine.name}-`))
  await mount(folder)
  try {
    return await play(engine, url, folder, situation)
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
    throw new Error(
      `A full disk needs a file system of its own, and mounting a tmpfs failed. Run it as root on Linux. ${String(error)}`,
      { cause: error },
    )
  }
}

async function play(engine: LedgerEngine, url: string, folder: string, situation: Situation): Promise<FullDiskResult> {
  const profile = join(folder, 'profile')
  let browser = await engine.start(profile, url)
  const problems: string[] = []
  const acknowledged: string[] = []
  const counts = { before: 0, full: 0, after: 0 }
  const took = (part: keyof typeof counts, ids: readonly string[]) => {
    counts[part] += ids.length
    acknowledged.push(...ids)
  }
  const killed = async () => {
    const kill = await browser.killTree()
    kill()
    if ((await limited(browser.gone, workLimit)).state !== 'done') throw new Error('The browser did not end')
  }
  try {
    let page = await browser.openPage()
    const others: LedgerPage[] = []
    for (let n = 0; n < (situation === 'tab closed' ? 1 : situation === 'three tabs' ? 2 : 0); n += 1)
      others.push(await browser.openPage())
    for (const each of [page, ...others]) await run(each, openStore, { store })
    const before = await run(page, appendUntilItFails, { store, prefix: 'before', times: 20, failures: 1 })
    if (before.failures.length > 0)
      throw new Error(`The disk was full from the start: ${JSON.stringify(before.failures)}`)
    took('before', before.acknowledged)

    const filler = join(folder, 'filler')
    let ended = false
    const startAgain = async () => {
      await killed()
      browser = await engine.start(profile, url)
      page = await browser.openPage()
    }
    const fillUp = async (prefix: string) => {
      await fill(filler)
      const appending = { store, prefix, times: 2_000, failures: 12 }
      const full = await run(page, appendUntilItFails, appending).catch((error: unknown) => {
        if (!String(error).includes('The window has gone')) throw error
      })
      if (full === undefined) {
        // WebKitGTK ends while it writes on a full disk, now and then.
        ended = true
        return []
      }
      if (full.failures.length === 0) problems.push('no append failed on a full disk')
      for (const { id, code, outcome, cause } of full.failures) {
        if (!code.startsWith('storage-'))
          problems.push(`append ${id} failed on a full disk with ${code}, ${outcome} (${cause})`)
      }
      took('full', full.acknowledged)
      return full.failures
    }
    let failures: readonly Failure[] = await fillUp('full')
    const opening = ended ? 'the browser had ended' : await run(page, openAnother, undefined)
    let reported = !ended && (await run(page, readReports, undefined)).length > 0
    let worked: FullDiskResult['worked'] = 'not tried'
    let healed: FullDiskResult['healed'] = 'not reported'
    let killedAfter = 0
    let lost: number | undefined
    const append = async (id: string) => {
      const ms = await run(page, appendUntilItWorks, { store, id })
      if (ms >= 0) took('after', [id])
      return ms
    }
    if (situation === 'killed when full') {
      killedAfter = Math.random() * 10_000
      await sleep(killedAfter)
      await killed()
    }
    await rm(filler)
    if (situation === 'killed when full') {
      browser = await engine.start(profile, url)
      page = await browser.openPage()
      failures = []
      await run(page, openStore, { store })
      await sleep(2_000)
      reported = (await run(page, readReports, undefined)).length > 0
    }
    if (ended && situation !== 'killed when full') await startAgain()
    else if (situation === 'reloaded') {
      await page.close()
      page = await browser.openPage()
    }
    if (situation === 'tab closed') {
      await page.close()
      page = others[0] as LedgerPage
    }
    if (situation === 'filled again') {
      await sleep(Math.random() * 2_000)
      ended = false
      failures = [...failures, ...(await fillUp('again'))]
      await rm(filler)
      if (ended) await startAgain()
    }
    worked = await append('worked-0')
    if (worked < 0) {
      worked = 'a reload'
      page = await browser.openPage()
      if ((await append('worked-1')) < 0) worked = 'never'
    }
    if (situation === 'killed while healing') {
      // The first moments count.
      killedAfter = Math.random() ** 3 * 1_500
      await sleep(killedAfter)
    } else if (reported) {
      healed = await run(page, waitUntilHealed, healingLimit)
      if (healed < 0) {
        healed = 'never'
        problems.push(`it was not healed ${healingLimit} ms after space was freed`)
      }
    }
    let rounds: number[] | undefined
    if (situation === 'three tabs') {
      const found = await Promise.all(
        [page, ...others].map(async (each) => ({
          healed: await run(each, waitUntilHealed, healingLimit),
          rounds: await run(each, roundsOf, undefined),
        })),
      )
      rounds = found.map((each) => each.rounds)
      problems.push(
        ...found.flatMap((each, tab) => (each.healed < 0 ? [`tab ${tab} does not say that it is healed`] : [])),
      )
      // One that was about to begin when it heard may have made it once.
      if (rounds.filter((count) => count > 1).length !== 1)
        problems.push(`not one of the tabs healed: ${JSON.stringify(rounds)}`)
    }
    if (situation !== 'killed while healing' && situation !== 'killed at once') {
      const after = await run(page, appendUntilItFails, { store, prefix: 'after', times: 20, failures: 1 })
      problems.push(...after.failures.map((failure) => `on the freed disk: ${JSON.stringify(failure)}`))
      took('after', after.acknowledged)
      problems.push(...(await examine(page, acknowledged, failures)))
      if (situation !== 'killed when full') killedAfter = Math.random() * 3_000
      await sleep(killedAfter)
    }

    // And what is on the disk is what the page was told.
    await killed()
    browser = await engine.start(profile, url)
    page = await browser.openPage()
    const found = await examine(page, acknowledged, [])
    if (situation === 'killed while healing' || (situation === 'killed when full' && !reported))
      lost =
        found.length > 0 ? acknowledged.length - (await run(page, readAll, { store, repeat: [] })).before.length : 0
    else problems.push(...found.map((problem) => `after a kill: ${problem}`))
    await engine.assertStorage(profile, url)
    return {
      engine: engine.name,
      version: browser.version,
      situation,
      opening,
      worked,
      healed,
      killedAfter: Math.round(killedAfter),
      problems,
      failed: counted(failures),
      acknowledged: counts,
      ...(lost === undefined ? {} : { lost }),
      ...(rounds === undefined ? {} : { rounds }),
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
  for (const { code, outcome, cause } of failures)
    counts[`${code}, ${outcome} (${cause})`] = (counts[`${code}, ${outcome} (${cause})`] ?? 0) + 1
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

async function run<Result, Arg>(
  page: LedgerPage,
  body: Parameters<typeof page.run<Result, Arg>>[1],
  arg: Arg,
): Promise<Result> {
  const answer = await limited(page.run('page', body, arg), workLimit)
  if (answer.state === 'done') return answer.value
  throw answer.state === 'failed' ? answer.error : new Error(`No answer within ${workLimit} ms`)
}

/** Every acknowledged event is there once, no failed one that said 'not-written'; what failed can be appended again. */
async function examine(
  page: LedgerPage,
  acknowledged: readonly string[],
  failures: readonly Failure[],
): Promise<string[]> {
  const found = await run(page, readAll, { store, repeat: failures.map(({ id }) => id) })
  const there = new Map<string, number>()
  for (const id of found.before) there.set(id, (there.get(id) ?? 0) + 1)
  const again = new Set(found.after)
  const lost = acknowledged.filter((id) => !there.has(id))
  return [
    ...(lost.length > 0
      ? [
          `${lost.length} of ${acknowledged.length} acknowledged events are lost, and ${found.before.length} events are there`,
        ]
      : []),
    ...[...there].filter(([, times]) => times > 1).map(([id, times]) => `${id} is there ${times} times`),
    ...failures
      .filter(({ id, outcome }) => outcome === 'not-written' && there.has(id))
      .map(({ id, code }) => `${id} failed with ${code}, not-written, and is there`),
    ...failures.filter(({ id }) => !again.has(id)).map(({ id }) => `${id} was appended again and is not there`),
    ...(again.size === found.after.length ? [] : ['an event that was appended again is there twice']),
    ...found.defects,
  ]
}

// Sent as source, so none of these may refer to anything outside itself.

type State = Record<string, any>

/** Opens the store where it is not yet open, and keeps what it reports. */
async function openStore(tidemark: Tidemark, { store }: { readonly store: string }, state: State): Promise<void> {
  state['reports'] ??= []
  state['rounds'] = 0
  const remove = indexedDB.deleteDatabase.bind(indexedDB)
  indexedDB.deleteDatabase = (name) => {
    if (name === 'tidemark::healing') state['rounds'] += 1
    return remove(name)
  }
  state['store'] ??= await tidemark.openEventStore({
    name: store,
    onReport: ({ type }) => state['reports'].push({ type, at: performance.now() }),
  })
}

async function readReports(
  _tidemark: Tidemark,
  _arg: undefined,
  state: State,
): Promise<{ type: string; at: number }[]> {
  return state['reports'] ?? []
}

async function roundsOf(_tidemark: Tidemark, _arg: undefined, state: State): Promise<number> {
  return state['rounds']
}

/** How long it took until the last report said so, ms; -1 if it did not in time. */
async function waitUntilHealed(_tidemark: Tidemark, limit: number, state: State): Promise<number> {
  const began = performance.now()
  for (;;) {
    if (state['reports']?.at(-1)?.type === 'storage-healed')
      return Math.max(0, Math.round(state['reports'].at(-1).at - began))
    if (performance.now() > began + limit) return -1
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Appends events of 40 kB, strict and relaxed by turns, until so many have failed. */
async function appendUntilItFails(
  tidemark: Tidemark,
  {
    store,
    prefix,
    times,
    failures,
  }: { readonly store: string; readonly prefix: string; readonly times: number; readonly failures: number },
  state: State,
): Promise<Filled> {
  const opened = (state['store'] ??= await tidemark.openEventStore({
    name: store,
    onReport: ({ type }) => (state['reports'] ??= []).push({ type, at: performance.now() }),
  }))
  const data = Array.from(crypto.getRandomValues(new Uint8Array(20_000)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('')
  const acknowledged: string[] = []
  const failed: { id: string; code: string; outcome: string; cause: string }[] = []
  for (let n = 0; n < times && failed.length < failures; n += 1) {
    const id = `${prefix}-${n}`
    try {
      await opened.append(
        { stream: `s${n % 3}`, events: [{ type: 'Filled', data, id }] },
        { durability: n % 2 === 0 ? 'strict' : 'relaxed' },
      )
      acknowledged.push(id)
    } catch (error: any) {
      failed.push({
        id,
        code: error?.code ?? String(error),
        outcome: String(error?.outcome),
        cause: error?.cause?.name ?? String(error?.cause),
      })
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
async function appendUntilItWorks(
  tidemark: Tidemark,
  { store, id }: { readonly store: string; readonly id: string },
  state: State,
): Promise<number> {
  const began = performance.now()
  while (performance.now() < began + 40_000) {
    try {
      const opened = (state['store'] ??= await tidemark.openEventStore({
        name: store,
        onReport: ({ type }) => (state['reports'] ??= []).push({ type, at: performance.now() }),
      }))
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
  tidemark: Tidemark,
  { store, repeat }: { readonly store: string; readonly repeat: readonly string[] },
  state: State,
): Promise<{ before: string[]; after: string[]; defects: string[] }> {
  const opened = (state['store'] ??= await tidemark.openEventStore({
    name: store,
    onReport: ({ type }) => (state['reports'] ??= []).push({ type, at: performance.now() }),
  }))
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
