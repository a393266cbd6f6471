/** One round: devices at work through faults, the drain, and the judgement. */
import { setTimeout as sleep } from 'node:timers/promises'
import { seedFor } from '../../src/testing/random.js'
import type { LogInfo } from '../../src/wire/protocol.js'
import type { Realm } from '../e2e/harness/main.js'
import type { LedgerPage } from '../ledger/browser.js'
import { limited } from '../ledger/limit.js'
import { freezeProcess } from '../support/browser-processes.js'
import { startFaultProxy, type FaultKind, type FaultProxy } from './fault-proxy.js'
import { beginLog } from './begin-log.js'
import type { LedgerBackup } from './ledger-server.js'
import { SyncAccount } from './sync-account.js'
import { auditSync, type SeenCommit, type ServerLine, type SyncFound, type SyncJudged } from './sync-audit.js'
import { disturbed, type PlannedDevice, type PlannedTab, type SyncRoundPlan } from './sync-plan.js'
import type { SyncStage } from './sync-stage.js'
import {
  act,
  clear,
  collect,
  copy,
  define,
  drain,
  halt,
  open,
  stop,
  turn,
  type Drained,
  type SyncEntering,
} from './sync-work.js'

const openLimit = 30_000
const stopLimit = 20_000
const drainLimit = 60_000
const collectLimit = 60_000
const asReader = { 'Tidemark-Sync': '1', 'X-User': 'the-ledger' }
/** How long tabs that were opened again have for their acts, ms. */
const workAgain = 300
const ignore = () => {}

export interface SyncRoundResult extends SyncJudged {
  /** How often each fault happened. */
  readonly faults: Readonly<Record<string, number>>
  readonly wanted: number
  readonly acknowledged: number
  readonly head: number
  readonly looks: number
  readonly turns: Readonly<Record<string, number>>
  /** How long each part of it took, ms. */
  readonly phases: Readonly<Record<string, number>>
  readonly evidence?: unknown
}

interface Tab {
  readonly planned: PlannedTab
  readonly index: number
  life: number
  page: LedgerPage | undefined
  realm: Realm
}

class Device {
  readonly name: string
  /** Whose databases it began with. */
  readonly copyOf: Device | undefined
  readonly planned: PlannedDevice
  readonly proxy: FaultProxy
  readonly tabs: readonly Tab[]
  /** What opens and closes its tabs is done one after the other. */
  queue: Promise<unknown> = Promise.resolve()

  constructor(name: string, planned: PlannedDevice, proxy: FaultProxy, copyOf?: Device) {
    this.name = name
    this.copyOf = copyOf
    this.planned = planned
    this.proxy = proxy
    this.tabs = planned.tabs.map((tab, index) => ({
      planned: tab,
      index,
      life: 0,
      page: undefined,
      realm: tab.where === 'page' ? 'page' : `dedicated:${name}`,
    }))
  }

  then_<T>(work: () => Promise<T>): Promise<T> {
    const next = this.queue.then(work)
    this.queue = next.catch(ignore)
    return next
  }
}

export async function playSyncRound(stage: SyncStage, plan: SyncRoundPlan, name: string): Promise<SyncRoundResult> {
  const round = new SyncRound(stage, plan, name)
  try {
    return await round.play()
  } finally {
    await round.end()
  }
}

class SyncRound {
  readonly #stage: SyncStage
  readonly #plan: SyncRoundPlan
  readonly #name: string
  readonly #account = new SyncAccount()
  readonly #pushed = new Map<string, SeenCommit[]>()
  readonly #faults: Record<string, number> = {}
  readonly #turns: Record<string, number> = {}
  readonly #devices: Device[] = []
  readonly #phases: Record<string, number> = {}
  #isFenced = false
  #isOver = false
  #server: Promise<unknown> = Promise.resolve()
  #restored = false
  #restarting: Promise<void> | undefined

  constructor(stage: SyncStage, plan: SyncRoundPlan, name: string) {
    this.#stage = stage
    this.#plan = plan
    this.#name = name
  }

  async play(): Promise<SyncRoundResult> {
    this.#stage.take = (message) => {
      if (message.round === this.#name) this.#account.add(message)
    }
    await this.#startServer()
    for (const [index, planned] of this.#plan.devices.entries())
      this.#devices.push(await this.#device(`d${index}`, planned))
    await this.#phase('open', () =>
      Promise.all(this.#devices.flatMap((device) => device.tabs.map((tab) => this.#enter(device, tab)))),
    )
    await this.#phase('disturb', () => this.#disturb())
    await this.#phase('fence', () => this.#fence())
    const drained = await this.#phase('drain', () => this.#drain())
    const judged = await this.#phase('judge', () => this.#judge(drained))
    await this.#phase('leave', () => this.#leave())
    return { ...judged, phases: this.#phases }
  }

  async #phase<T>(name: string, work: () => Promise<T>): Promise<T> {
    const began = performance.now()
    const value = await work()
    this.#phases[name] = Math.round(performance.now() - began)
    return value
  }

  /** Closes what is open, whatever happened. */
  async end(): Promise<void> {
    this.#isOver = true
    this.#stage.take = ignore
    await this.#restarting?.catch(ignore)
    await this.#stage.closePages()
    await Promise.all(this.#devices.map(({ proxy }) => limited(proxy.close(), stopLimit)))
    await this.#server.catch(ignore)
  }

  #count(what: string, times = 1): void {
    this.#faults[what] = (this.#faults[what] ?? 0) + times
  }

  #see(path: string, body: string): void {
    // A preflight has no body.
    if (!path.endsWith('/push') || body === '') return
    for (const commit of (JSON.parse(body) as { commits: SeenCommit[] }).commits) {
      const id = commit.events[0]?.id ?? ''
      this.#pushed.set(id, [...(this.#pushed.get(id) ?? []), commit])
    }
  }

  // The server

  #serverWork<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#server.then(work)
    this.#server = next.catch(ignore)
    return next
  }

  async #startServer(): Promise<void> {
    const { server } = this.#stage
    const { killAt } = this.#plan.server
    await server.start()
    await beginLog(server.url, this.#name)
    await server.arm(killAt, this.#name)
    if (killAt !== undefined)
      void server.ended().then(async (isByItself) => {
        if (this.#isOver || !isByItself) return
        this.#count(`server killed ${killAt.when} a commit`)
        await sleep(this.#plan.server.away)
        await this.#serverWork(() => server.start())
      })
  }

  async #serverFaults(at: (ms: number) => Promise<void>): Promise<void> {
    const { server } = this.#stage
    const { killed, away, backupAt, restoreAt, way, database } = this.#plan.server
    let backup: LedgerBackup | undefined
    const kills = async () => {
      if (killed === undefined) return
      await at(killed)
      await this.#serverWork(() => server.kill())
      this.#count('server killed')
      await sleep(away)
      await this.#serverWork(() => server.start())
    }
    const crashes = async () => {
      if (server.database === undefined || database.crashedAt === undefined) return
      await at(database.crashedAt)
      await this.#serverWork(async () => server.database?.crash(away))
      this.#count('database crashed')
    }
    const cuts = database.cuts.map(async (cut) => {
      if (server.database === undefined) return
      await at(cut.at)
      server.database.cut(cut.count, cut.when)
      this.#count(`connection to the database cut ${cut.when} a message`)
    })
    const restores = async () => {
      if (backupAt === undefined || restoreAt === undefined) return
      await at(backupAt)
      backup = await this.#serverWork(() => server.backup(way))
      await at(restoreAt)
      const taken = backup
      this.#restored = true
      await this.#serverWork(() => server.restore(taken))
      this.#count('server restored')
      if (server.database !== undefined)
        this.#count(`restored from a ${way.by}, ${way.isServed ? 'while it was served' : 'with the server stopped'}`)
    }
    await Promise.all([kills(), restores(), crashes(), ...cuts])
  }

  // Devices

  async #device(name: string, planned: PlannedDevice, copyOf?: Device): Promise<Device> {
    const seed = seedFor(this.#plan.seed, name)
    const target = this.#stage.server.url
    const proxy = await startFaultProxy({ seed, target, seen: (path, body) => this.#see(path, body) })
    return new Device(name, planned, proxy, copyOf)
  }

  #databaseOf({ name }: Device): string {
    return `tidemark:${this.#name}/${name}`
  }

  /** Another device begins with the databases of this one, which goes on. */
  async #copying(device: Device, at: (ms: number) => Promise<void>): Promise<void> {
    const { copiedAt } = device.planned
    if (copiedAt === undefined) return
    await at(copiedAt)
    await device.then_(async () => {
      const page = device.tabs.find((tab) => tab.page !== undefined && !this.#stage.isDead(tab.page))?.page
      if (page === undefined) return
      const [tab] = device.planned.tabs
      const acts = tab?.acts.slice(tab.acts.length / 2) ?? []
      const planned: PlannedDevice = { ...device.planned, tabs: [{ where: 'page', isOld: false, acts }], turns: [] }
      const copied = await this.#device(`${device.name}x`, planned, device)
      const done = await limited(
        page.run('page', copy, { from: this.#databaseOf(device), to: this.#databaseOf(copied) }),
        stopLimit,
      )
      // The page may have been killed.
      if (done.state !== 'done') return void (await copied.proxy.close())
      this.#account.copy(done.value)
      this.#devices.push(copied)
      copied.proxy.faults(planned.faults)
      this.#count('device copied')
      // A reopening may have come to it first.
      await copied.then_(() => this.#enterMissing(copied))
    })
  }

  /** Opens a tab, or opens it again, and sends it to work while there is work. */
  async #enter(device: Device, tab: Tab): Promise<void> {
    const { page: before } = tab
    if (before !== undefined && !this.#stage.isDead(before)) await this.#close(before)
    tab.page = await this.#stage.openPage()
    await this.#define(device, tab, tab.page, tab.realm)
    const opened = await limited(tab.page.run(tab.realm, open, undefined), openLimit)
    if (opened.state !== 'done') {
      // It may have been killed meanwhile.
      if (this.#stage.isDead(tab.page)) return
      throw new Error(
        `A tab of ${device.name} did not open: ${opened.state === 'failed' ? String(opened.error) : 'late'}`,
      )
    }
    if (!this.#isFenced) {
      // One that was opened again goes on with the second half.
      const all = tab.planned.acts
      const acts = before === undefined ? all : all.slice(all.length / 2)
      void tab.page.run(tab.realm, act, { device: device.name, acts }).catch(ignore)
    }
  }

  /** As a user does. What may still run afterwards makes the round worth nothing. */
  async #close(page: LedgerPage): Promise<void> {
    if (!(await this.#stage.closePage(page))) throw new Error('A page is not known to have ended.')
  }

  async #define(device: Device, tab: Tab, page: LedgerPage, realm: Realm): Promise<void> {
    tab.life += 1
    const entering: SyncEntering = {
      round: this.#name,
      device: device.name,
      tab: `${device.name}.${tab.index}.${tab.life}`,
      store: `${this.#name}/${device.name}`,
      url: `${device.proxy.url}/logs/${this.#name}`,
      author: device.planned.author,
      receiver: this.#stage.receiver.url,
      clockBy: device.planned.clockBy,
      isOld: tab.planned.isOld,
    }
    if (tab.life === 1 && entering.isOld) this.#count('old build')
    await limited(page.run(realm, define, entering), openLimit)
  }

  async #disturb(): Promise<void> {
    const began = performance.now()
    const at = (ms: number) => sleep(Math.max(0, began + ms - performance.now()))
    for (const { proxy, planned } of this.#devices) {
      proxy.faults(planned.faults)
      if (planned.clockBy !== 0) this.#count('clock a year off')
    }
    await Promise.all([
      at(disturbed),
      this.#serverFaults(at),
      this.#killing(at),
      this.#freezing(at),
      ...this.#devices.flatMap((device) => [
        this.#partition(device, at),
        this.#clearing(device, at),
        this.#copying(device, at),
        ...device.planned.turns.map((planned) => this.#turn(device, planned, at)),
      ]),
    ])
  }

  async #partition({ planned: { partition }, proxy }: Device, at: (ms: number) => Promise<void>): Promise<void> {
    if (partition === undefined) return
    await at(partition.at)
    proxy.partition(partition.which)
    this.#count(`partition ${partition.which}`)
    await sleep(partition.for)
    proxy.partition()
  }

  async #clearing(device: Device, at: (ms: number) => Promise<void>): Promise<void> {
    const { clearedAt } = device.planned
    if (clearedAt === undefined) return
    await at(clearedAt)
    await device.then_(async () => {
      for (const { page, realm } of device.tabs)
        if (page !== undefined && !this.#stage.isDead(page)) await limited(page.run(realm, stop, undefined), stopLimit)
      const page = device.tabs.find((tab) => tab.page !== undefined && !this.#stage.isDead(tab.page))?.page
      if (page === undefined) return
      this.#account.clear(device.name)
      const cleared = await limited(page.run('page', clear, this.#databaseOf(device)), stopLimit)
      // It might still be deleted at any time.
      if (cleared.state === 'late' && !this.#stage.isDead(page)) throw new Error('The storage was not cleared in time.')
      if (cleared.state === 'done' && cleared.value > 0) this.#count('storage cleared')
      for (const tab of device.tabs) await this.#enter(device, tab)
    })
  }

  async #turn(
    device: Device,
    { at: when, maxTime }: PlannedDevice['turns'][number],
    at: (ms: number) => Promise<void>,
  ): Promise<void> {
    await at(when)
    const [tab] = device.tabs
    const page = tab?.page
    if (tab === undefined || page === undefined || this.#stage.isDead(page)) return
    const realm = 'service'
    const ended = await limited(
      (async () => {
        await this.#define(device, tab, page, realm)
        return page.run(realm, turn, maxTime)
      })(),
      maxTime + 5_000,
    )
    const what = ended.state === 'done' ? ended.value : ended.state
    this.#turns[what] = (this.#turns[what] ?? 0) + 1
  }

  async #killing(at: (ms: number) => Promise<void>): Promise<void> {
    const { kill: planned } = this.#plan
    if (planned === undefined) return
    await at(planned.at)
    const { kill, chosen } = planned
    const { browser } = this.#stage
    const all = this.#devices.flatMap((device) => device.tabs.map((tab) => ({ device, tab })))
    const pages = all.flatMap(({ tab: { page } }) => (page !== undefined && !this.#stage.isDead(page) ? [page] : []))
    const [anyPage] = pages
    if (anyPage === undefined) return
    this.#count(`${kill} killed`)
    if (kill === 'service worker') (await browser.stopServiceWorker(anyPage)).kill()
    else if (kill === 'process tree') {
      const end = await browser.killTree()
      this.#restarting = (async () => {
        end()
        await browser.gone
        await this.#stage.restart()
      })()
      await this.#restarting
    } else if (kill === 'renderer') {
      ;(await browser.killRenderer(pages, chosen)).kill()
      await sleep(200)
    } else {
      const victim = all[chosen % all.length]?.tab
      if (victim?.page === undefined) return
      if (victim.realm !== 'page' && chosen % 2 === 0) await limited(victim.page.terminate(victim.realm), stopLimit)
      await this.#close(victim.page)
    }
    if (chosen % 3 === 0) return
    await this.#reopen()
    await sleep(workAgain)
  }

  /** As a tab that the system gives no time: it leads, holds locks, and has requests under way. */
  async #freezing(at: (ms: number) => Promise<void>): Promise<void> {
    const { freeze } = this.#plan
    if (freeze === undefined) return
    await at(freeze.at)
    // None while the browser is being killed.
    const all = await this.#stage.browser.renderers().catch(() => [])
    const pid = all[freeze.chosen % all.length]
    if (pid === undefined) return
    this.#count('tab frozen')
    await freezeProcess(pid, freeze.for)
  }

  /** Opens every tab again whose page has gone. */
  async #reopen(): Promise<void> {
    await Promise.all(this.#devices.map((device) => device.then_(() => this.#enterMissing(device))))
  }

  async #enterMissing(device: Device): Promise<void> {
    const missing = device.tabs.filter(({ page }) => page === undefined || this.#stage.isDead(page))
    await Promise.all(missing.map((tab) => this.#enter(device, tab)))
  }

  // The end

  /** Those whose page is there. */
  #living(): { readonly device: Device; readonly tab: Tab; readonly page: LedgerPage }[] {
    return this.#devices.flatMap((device) =>
      device.tabs.flatMap((tab) =>
        tab.page === undefined || this.#stage.isDead(tab.page) ? [] : [{ device, tab, page: tab.page }],
      ),
    )
  }

  /** The end of the faults and of the acts: each tab has done what it was at, or its page has ended. */
  async #fence(): Promise<void> {
    this.#isFenced = true
    for (const { proxy } of this.#devices) {
      proxy.faults()
      proxy.partition()
    }
    await this.#serverWork(() => this.#stage.server.start())
    await Promise.all(
      this.#living().map(async ({ tab, page }) => {
        const halted = await limited(page.run(tab.realm, halt, undefined), stopLimit)
        if (halted.state !== 'done' && !this.#stage.isDead(page)) await this.#close(page)
      }),
    )
    await Promise.all(this.#devices.map(({ proxy }) => proxy.settled()))
    this.#account.fence()
  }

  /** Until every device has sent what it has, and has what the server has. Nothing is appended any more. */
  async #drain(): Promise<ReadonlyMap<Device, Drained>> {
    const last = new Map<Device, Drained>()
    let quiet = 0
    for (const deadline = performance.now() + drainLimit; performance.now() < deadline;) {
      await this.#reopen()
      await Promise.all(
        this.#devices.map(async (device) => {
          const [tab] = device.tabs
          if (tab?.page === undefined) return
          const round = await limited(tab.page.run(tab.realm, drain, undefined), stopLimit)
          if (round.state === 'done') last.set(device, round.value)
        }),
      )
      const head = await this.#head()
      const all = this.#devices.map((device) => last.get(device))
      const isDrained = all.every((each) => each?.pending === each?.behind && each?.cursor === head)
      const waits = all.some((each) => (each?.behind ?? 0) > 0)
      // What one device waits for may have come from another one in the same turn.
      quiet = isDrained ? quiet + 1 : 0
      if (quiet === (waits ? 3 : 1)) break
    }
    return last
  }

  /** `undefined` while the server is away: it may be killed at a commit of this very time. */
  async #head(): Promise<number | undefined> {
    try {
      const response = await fetch(`${this.#stage.server.url}/logs/${this.#name}/info`, { headers: asReader })
      return response.ok ? ((await response.json()) as LogInfo).head : undefined
    } catch {
      return undefined
    }
  }

  /** Pages in which all has ended are for the next round. */
  async #leave(): Promise<void> {
    await Promise.all(
      this.#living().map(async ({ tab, page }) => {
        const stopped = await limited(page.run(tab.realm, stop, undefined), stopLimit)
        tab.page = undefined
        await (stopped.state === 'done' ? this.#stage.giveBack(page) : this.#stage.closePage(page))
      }),
    )
  }

  async #judge(drained: ReadonlyMap<Device, Drained>): Promise<Omit<SyncRoundResult, 'phases'>> {
    await Promise.all(
      this.#living()
        .filter(({ device, tab }) => tab !== device.tabs[0])
        .map(({ tab, page }) => limited(page.run(tab.realm, stop, undefined), stopLimit)),
    )
    const server = await this.#serverLog()
    const devices = await Promise.all(
      this.#devices.map(async (device): Promise<SyncFound['devices'][number]> => {
        const [tab] = device.tabs
        if (tab?.page === undefined) throw new Error('A device has no tab')
        const evidence = await limited(tab.page.run(tab.realm, collect, undefined), collectLimit)
        if (evidence.state !== 'done')
          throw new Error(
            `${device.name} told nothing: ${evidence.state === 'failed' ? String(evidence.error) : 'late'}`,
          )
        const end = drained.get(device) ?? { status: 'never', pending: -1, behind: -1, cursor: -1, head: -1 }
        return { device: device.name, copyOf: device.copyOf?.name, evidence: evidence.value, drained: end }
      }),
    )
    for (const { proxy } of this.#devices)
      for (const [kind, times] of Object.entries(proxy.happened) as [FaultKind | 'partitioned', number][])
        if (times > 0) this.#count(kind, times)
    const { wanted, looks } = this.#account
    const found: SyncFound = {
      server,
      devices,
      account: this.#account,
      pushed: this.#pushed,
      restored: this.#restored,
    }
    const judged = auditSync(found)
    return {
      ...judged,
      faults: this.#faults,
      wanted: wanted.size,
      acknowledged: [...wanted.values()].filter(({ acknowledged }) => acknowledged === true).length,
      head: server.length,
      looks,
      turns: this.#turns,
      ...(judged.violations.length > 0 && {
        evidence: { plan: this.#plan, server, devices, wanted: [...wanted.values()], pushed: [...this.#pushed] },
      }),
    }
  }

  /** Read as any client could, without the package. */
  async #serverLog(): Promise<ServerLine[]> {
    const lines: ServerLine[] = []
    let chain = '0'.repeat(32)
    for (;;) {
      const after = lines.at(-1)?.position ?? 0
      const query = `after=${after}&chain=${chain}&limit=1000`
      const response = await fetch(`${this.#stage.server.url}/logs/${this.#name}/pull?${query}`, {
        headers: asReader,
      })
      if (!response.ok) throw new Error(`The server says ${response.status}: ${await response.text()}`)
      const page = (await response.text())
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Partial<ServerLine> & { readonly chain?: string })
      const found = page.filter((line): line is ServerLine => line.position !== undefined)
      if (found.length === 0) return lines
      lines.push(...found)
      chain = page.at(-1)?.chain ?? chain
    }
  }
}
