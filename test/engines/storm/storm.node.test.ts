// Real tabs and workers of one profile append, project and race at once, while whoever leads is taken away again and again.
// The same on Chromium, with crashes: test/e2e/storm.spec.ts.
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { scratch } from '../../../scripts/scratch.mjs'
import type { Realm } from '../../e2e/harness/main.js'
import type { LedgerBrowser, LedgerPage } from '../../ledger/browser.js'
import { engines } from '../../ledger/engines.js'
import { limited } from '../../ledger/limit.js'
import * as work from '../../support/counting-work.js'
import { serveHarness, type HarnessServer } from '../../support/harness-server.js'

const TABS = 5
const WINS = 6
const REMOVALS = 3
const DEADLINE = 40_000

/** A context that takes part. */
interface Member {
  readonly page: LedgerPage
  readonly realm: Realm
}

let harness: HarnessServer
let profile: string
let browser: LedgerBrowser
let pages: LedgerPage[]

beforeAll(async () => {
  const name = inject('stormOn')
  const engine = engines.find((each) => each.name === name)
  if (engine === undefined) throw new Error(`There is no engine '${name}'`)
  harness = await serveHarness()
  profile = await mkdtemp(join(scratch(), `tidemark-storm-${name}-`))
  browser = await engine.start(profile, harness.url)
  pages = []
  for (let tab = 0; tab < TABS; tab += 1) pages.push(await browser.openPage())
}, 90_000)

afterAll(async () => {
  await browser?.close()
  await harness?.close()
  await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

test(
  'H10, H51, Z5: tabs, workers, a shared and a service worker append and lead at once; leaders that are taken away leave no hole and no double',
  { timeout: 120_000 },
  async () => {
    const [home] = pages as [LedgerPage, ...LedgerPage[]]
    const workers = (['dedicated:a', 'dedicated:b', 'shared', 'service'] as const).map((realm): Member => ({
      page: home,
      realm,
    }))
    const members: Member[] = [...pages.map((page): Member => ({ page, realm: 'page' })), ...workers]
    const [a, b] = workers as [Member, Member, Member, Member]
    await Promise.all(members.map((member) => run(member, listenForErrors)))
    await Promise.all(members.map((member) => run(member, work.open, { name: 'storm', version: 1 })))
    // In the order in which they shall lead: the last tab, which is shown in every engine, and then the workers. A service worker never does.
    const line = [
      { page: pages.at(-1) as LedgerPage, realm: 'page' } as const,
      a,
      b,
      ...members.filter(({ page, realm }) => realm === 'shared' || (realm === 'page' && page !== pages.at(-1))),
    ]
    for (const member of line) {
      await run(member, work.start)
      await inLine(member)
    }

    await Promise.all(members.map((member) => run(member, work.append, { times: 20, perCommit: 1 })))
    const won = await Promise.all(members.map((member) => run(member, work.race, WINS)))
    expect(won.every((each) => each === WINS)).toBe(true)
    expect(await run(a, versionOf, 'contested'), 'conflicts are exact').toBe(members.length * WINS)

    let left = line
    const removed: Realm[] = []
    for (let removal = 0; removal < REMOVALS; removal += 1) {
      const leading = await leaderOf(left)
      // In the middle of its work; nobody may be left to answer.
      const dying = limited(run(leading, work.append, { times: 500, perCommit: 1 }), DEADLINE)
      await run(left.find((member) => member !== leading) as Member, work.append, { times: 10, perCommit: 2 })
      await remove(leading, home)
      removed.push(leading.realm)
      left = left.filter((member) => member !== leading)
      await Promise.all(left.map((member) => run(member, work.append, { times: 5, perCommit: 1 })))
      void dying
    }
    // In line, unless the machine is so busy that somebody lost patience with whoever leads.
    expect([removed[0] === 'page', removed.some((realm) => realm.startsWith('dedicated'))], removed.join()).toEqual([
      true,
      true,
    ])

    const next = await leaderOf(left)
    const position = await run(next, work.append, { times: 10, perCommit: 1 })
    await run(next, work.caughtUp, position)
    const { head, position: shown, rows, expected } = await run({ page: home, realm: 'page' }, work.compare)
    console.log(
      `${browser.version}: ${head} events by ${members.length} contexts; led and taken away: ${removed.join(', ')}; then led by ${next.realm}`,
    )
    expect(shown).toBeGreaterThanOrEqual(position)
    expect(head).toBeGreaterThanOrEqual(shown)
    expect(rows).toEqual(expected)
    const errors = await Promise.all(left.map((member) => run(member, errorsSoFar)))
    expect([...errors.flat(), ...(await harness.errors())], 'errors that nobody caught').toEqual([])
  },
)

async function run<Result, Arg = undefined>(
  { page, realm }: Member,
  body: Parameters<typeof page.run<Result, Arg>>[1],
  arg?: Arg,
): Promise<Result> {
  return page.run(realm, body, arg as Arg)
}

/** Resolves once it leads or waits for its turn. */
async function inLine(member: Member): Promise<void> {
  for (
    const deadline = performance.now() + DEADLINE;
    (await run(member, work.status)).phase === 'starting';
    await sleep(5)
  ) {
    if (performance.now() > deadline) throw new Error(`${member.realm} is still starting after ${DEADLINE} ms`)
  }
}

/** The one that leads, once exactly one says so. */
async function leaderOf(members: readonly Member[]): Promise<Member> {
  let leaders: Member[] = []
  for (const deadline = performance.now() + DEADLINE; performance.now() < deadline; await sleep(20)) {
    const states = await Promise.all(members.map((member) => run(member, work.status)))
    leaders = members.filter((_member, index) => states[index]?.leader)
    if (leaders.length === 1) return leaders[0] as Member
  }
  throw new Error(`${leaders.length} lead after ${DEADLINE} ms: ${leaders.map(({ realm }) => realm).join(', ')}`)
}

/**
 * Takes it away as abruptly as can be without taking others with it: those that the tab `home` runs in the shared worker stay, and in WebKit
 * so do dedicated workers, whose transactions may stay open for good once they are terminated (docs/engines.md).
 */
async function remove({ page, realm }: Member, home: LedgerPage): Promise<void> {
  if (realm.startsWith('dedicated') && inject('stormOn') !== 'webkit') await page.terminate(realm)
  else if (realm === 'page' && page !== home) await page.close()
  else await page.run(realm, stop, undefined)
}

// Sent as source, as everything in counting-work.ts.

function listenForErrors(_tidemark: unknown, _arg: undefined, state: Record<string, any>): void {
  const errors: string[] = (state['errors'] = [])
  addEventListener('error', (event) => errors.push(String(event.error?.stack ?? event.message)))
  addEventListener('unhandledrejection', (event) => errors.push(String(event.reason?.stack ?? event.reason)))
}

const errorsSoFar = (_tidemark: unknown, _arg: undefined, state: Record<string, any>): string[] => state['errors']

const versionOf = (_tidemark: unknown, stream: string, state: Record<string, any>): Promise<number> =>
  state['store'].streamVersion(stream)

const stop = (_tidemark: unknown, _arg: undefined, state: Record<string, any>): Promise<void> =>
  state['projection'].stop()
