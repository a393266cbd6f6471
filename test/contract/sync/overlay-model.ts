/**
 * Views over the outbox against an oracle: whatever is appended, confirmed, refused and folded, in whatever order, every
 * question is answered as a read model would answer it that was folded from the confirmed events in the rows and the own
 * events that are not in them.
 */
import { defineEvents, defineProjection, openReadModel, runProjection, table } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../../src/running/shared-storage.js'
import { nextTask } from '../../../src/platform/tasks.js'
import { virtualClock } from '../../../src/testing/virtual-clock.js'
import { seededRandom } from '../../../src/testing/random.js'
import type { SyncedStore, SyncedStoreOptions } from '../../../src/sync/synced-store.js'
import type { OutboxRow } from '../../../src/sync/sync-state.js'
import { Tab, textOf, type TestEvent } from './overlay-device.js'

export interface OverlayBackend {
  readonly name: string
  /** Two contexts may open one store. */
  readonly shared: boolean
  open(options: SyncedStoreOptions): Promise<SyncedStore>
}

interface Item {
  readonly key: string
  readonly n: number
  readonly tags: readonly string[]
  readonly group: string
  readonly at?: Date
}

type Event =
  | { type: 'Put'; data: { key: string; n: number; tags: string[]; group: string; at?: number } }
  | { type: 'Moved'; data: { from: string; to: string } }
  | { type: 'Swept'; data: { group: string; by: number } }
  | { type: 'Dropped'; data: { key: string } }
  | { type: 'Bad'; data: { key: string } }
  | { type: 'Claimed'; data: { key: string; seat: number } }
  | { type: 'Unhandled'; data: null }

const events = defineEvents<Event>()

const items = table<Item>()({
  key: 'key',
  indexes: {
    byN: 'n',
    byTag: { path: 'tags', multiEntry: true },
    byGroup: ['group', 'n'],
    byDate: 'at',
  },
})

/** Every event of a commit counts in its own row and in that of its commit, so what is shown twice or not shows. */
const modelOf = (name: string, version: number, policy: () => 'skip' | 'park' | 'park-stream' | 'fatal') =>
  defineProjection(events, {
    name,
    version,
    filter: { types: ['Put', 'Moved', 'Swept', 'Dropped', 'Bad', 'Claimed'] },
    tables: {
      items,
      counts: table<{ id: string; times: number }>({ key: 'id' }),
      pairs: table<{ group: string; n: number; times: number }>({ key: ['group', 'n'] }),
      seats: table<{ key: string; seat: number }>()({
        key: 'key',
        indexes: { bySeat: { path: 'seat', unique: true } },
      }),
    },
    fold: {
      counts: {
        key: (event) => event.id,
        evolve: (row, { id }) => ({ id, times: (row?.times ?? 0) + 1 }),
      },
      pairs: {
        key: (event) => (event.type === 'Put' ? [event.data.group, event.data.n] : undefined),
        evolve: (row, event) => ({
          group: event.type === 'Put' ? event.data.group : '',
          n: event.type === 'Put' ? event.data.n : 0,
          times: (row?.times ?? 0) + 1,
        }),
      },
    },
    on: {
      Put({ data: { at, ...item } }, { items }) {
        items.put({ ...item, ...(at !== undefined && { at: new Date(at) }) })
      },
      async Moved({ data: { from, to } }, { items }) {
        const row = await items.get(from)
        if (row === undefined) return
        items.delete(from)
        items.put({ ...row, key: to })
      },
      async Swept({ data: { group, by } }, { items }) {
        const rows = await items.getAll({ index: 'byGroup', range: { lower: [group], upper: [group, []] } })
        for (const row of rows.slice(0, 3)) {
          if (row.n % 5 === 0) items.delete(row.key)
          else items.put({ ...row, n: row.n + by })
        }
      },
      async Dropped({ data: { key } }, { items }) {
        items.delete(key)
      },
      async Bad({ data: { key } }, { items }) {
        const row = await items.get(key)
        items.put({ key, n: -1, tags: ['bad'], group: 'bad' })
        throw new Error(`refused ${row?.n ?? 'none'}`)
      },
      Claimed({ data: { key, seat } }, { seats }) {
        seats.put({ key, seat })
      },
    },
    onFailure: policy,
  })

type Model = ReturnType<typeof modelOf>
const tables = ['items', 'counts', 'pairs', 'seats'] as const
type AnyTable = {
  get(key: unknown): Promise<unknown>
  getMany(keys: readonly unknown[]): Promise<unknown[]>
  getAll(options?: object): Promise<unknown[]>
  count(options?: object): Promise<number>
  live(options?: object): { ready(): Promise<unknown> }
}
type AnyView = Record<(typeof tables)[number], AnyTable> & { close(): Promise<void>; position(): Promise<number> }

interface Question {
  readonly table: (typeof tables)[number]
  readonly kind: 'get' | 'getMany' | 'getAll' | 'count'
  readonly given: unknown
}

class Chance {
  readonly random: () => number
  constructor(seed: number) {
    this.random = seededRandom(seed)
  }
  pick(n: number): number {
    return Math.floor(this.random() * n)
  }
  is(share: number): boolean {
    return this.random() < share
  }
  of<T>(list: readonly T[]): T {
    return list[this.pick(list.length)] as T
  }
}

const keyed = (chance: Chance): string => `k${chance.pick(12)}`
const grouped = (chance: Chance): string => `g${chance.pick(3)}`

function someEvent(chance: Chance): Event {
  const what = chance.random()
  if (what < 0.45)
    return {
      type: 'Put',
      data: {
        key: keyed(chance),
        n: chance.pick(10),
        tags: Array.from({ length: chance.pick(4) }, () => `t${chance.pick(4)}`),
        group: grouped(chance),
        ...(chance.is(0.5) && { at: chance.pick(5) }),
      },
    }
  if (what < 0.58) return { type: 'Moved', data: { from: keyed(chance), to: keyed(chance) } }
  if (what < 0.7) return { type: 'Swept', data: { group: grouped(chance), by: 1 + chance.pick(3) } }
  if (what < 0.8) return { type: 'Dropped', data: { key: keyed(chance) } }
  if (what < 0.85) return { type: 'Bad', data: { key: keyed(chance) } }
  if (what < 0.95) return { type: 'Claimed', data: { key: keyed(chance), seat: chance.pick(4) } }
  return { type: 'Unhandled', data: null }
}

function someRange(chance: Chance, value: () => unknown): object {
  if (chance.is(0.2)) return { range: value() }
  const range = () => ({
    ...(chance.is(0.7) && { lower: value() }),
    ...(chance.is(0.7) && { upper: value() }),
    ...(chance.is(0.3) && { lowerOpen: true }),
    ...(chance.is(0.3) && { upperOpen: true }),
  })
  return chance.is(0.25) ? { ranges: [range(), range(), range()].slice(0, chance.pick(4)) } : { range: range() }
}

const indexValues: Record<string, (chance: Chance) => unknown> = {
  byN: (chance) => chance.pick(12),
  byTag: (chance) => `t${chance.pick(4)}`,
  byGroup: (chance) => [grouped(chance), chance.pick(12)],
  byDate: (chance) => new Date(chance.pick(5)),
  bySeat: (chance) => chance.pick(4),
}

function someKey(chance: Chance, table: Question['table'], ids: readonly string[]): unknown {
  if (table === 'pairs') return [grouped(chance), chance.pick(10)]
  return table === 'counts' ? (ids.length === 0 ? 'none' : chance.of(ids)) : keyed(chance)
}

function someQuestion(chance: Chance, ids: readonly string[]): Question {
  const table = chance.of(tables)
  const kind = chance.of(['get', 'getMany', 'getAll', 'getAll', 'getAll', 'count', 'count'] as const)
  if (kind === 'get') return { table, kind, given: someKey(chance, table, ids) }
  if (kind === 'getMany')
    return { table, kind, given: Array.from({ length: chance.pick(5) }, () => someKey(chance, table, ids)) }
  const indexes = table === 'items' ? ['byN', 'byTag', 'byGroup', 'byDate'] : table === 'seats' ? ['bySeat'] : []
  const index = indexes.length > 0 && chance.is(0.7) ? chance.of(indexes) : undefined
  const value = () => (index === undefined ? someKey(chance, table, ids) : (indexValues[index]?.(chance) ?? 0))
  const given = {
    ...(index !== undefined && { index }),
    ...(chance.is(0.6) && someRange(chance, value)),
    ...(kind === 'getAll' && {
      ...(chance.is(0.5) && { direction: 'prev' }),
      ...(chance.is(0.6) && { limit: chance.pick(6) }),
    }),
  }
  return { table, kind, given }
}

const ask = (view: AnyView, { table, kind, given }: Question): Promise<unknown> => view[table][kind](given as never)

/** What a read model holds that is folded from these events: by a store of its own. */
async function oracleOf(of: readonly TestEvent[], laid: ReadonlySet<string>, policy: Policy): Promise<AnyView> {
  const store = await openMemory({ name: `oracle-${crypto.randomUUID()}` })
  for (const { id, type, stream, data } of of) await store.append(stream, [{ type, data, id }])
  // An own event that is laid over and fails is left out, whatever the policy says.
  const model = modelOf('oracle', 1, (failure?: { event: { id: string } }) =>
    failure !== undefined && laid.has(failure.event.id) ? 'skip' : policy,
  )
  await runProjection(store, model as never, { retry: { maxRetries: 0 } })
  const view = (await openReadModel(store, model as never)) as unknown as AnyView
  return {
    ...view,
    close: async () => {
      await view.close()
      await store.close()
    },
  }
}

type Policy = 'skip' | 'park' | 'park-stream'

/** One random schedule. */
class Schedule {
  readonly chance: Chance
  /** Stands still: on a busy machine, too, an append waits until live queries know of it. */
  readonly clock = virtualClock()
  readonly tabs: readonly Tab[]
  readonly model: Model
  readonly policy: Policy
  /** Events that were pulled, by the identity of the log … */
  readonly logs = new Map<string, TestEvent[]>()
  identity = ''
  /** … where commits end among them … */
  ends: number[] = []
  /** … and those that the server has in addition. */
  readonly server: (readonly TestEvent[])[] = []
  readonly views: AnyView[] = []
  readonly live: {
    readonly tab: number
    readonly question: Question
    readonly query: { ready(): Promise<unknown> }
  }[] = []
  readonly ids: string[] = []
  /** Events that no handler refuses. */
  readonly sure = new Set<string>()
  /** Of this device, also those that were refused. */
  readonly mine = new Set<string>()
  serial = 0
  asked = 0
  looks = 0
  restores = 0

  constructor(chance: Chance, tabs: readonly Tab[]) {
    this.chance = chance
    this.tabs = tabs
    this.policy = chance.of(['skip', 'park', 'park-stream'] as const)
    this.model = modelOf('model', 1, () => this.policy)
  }

  get log(): TestEvent[] {
    return this.logs.get(this.identity) as TestEvent[]
  }

  async open(): Promise<void> {
    this.identity = (await (this.tabs[0] as Tab).snapshot()).state.identity
    this.logs.set(this.identity, [])
    for (const tab of this.tabs)
      this.views.push((await tab.view(this.model as never, this.clock)) as unknown as AnyView)
    for (let at = 0; at < 10; at += 1) this.follow()
  }

  events(by: string): TestEvent[] {
    const { chance } = this
    return Array.from({ length: 1 + chance.pick(3) }, () => {
      const id = `${by}${(this.serial += 1)}`
      this.ids.push(id)
      if (by !== 'foreign') this.mine.add(id)
      const { type, data } = someEvent(chance)
      if (type === 'Put') this.sure.add(id)
      return { id, type, data, stream: `s${chance.pick(3)}` }
    })
  }

  get tab(): Tab {
    return this.chance.of(this.tabs)
  }

  /** Pending commits that the server does not have. */
  async notSent(tab: Tab): Promise<OutboxRow[]> {
    const sent = new Set(this.server.flat().map(({ id }) => id))
    const { outbox } = await tab.snapshot()
    return outbox.filter((row) => isPending(row) && row.events.every(({ id }) => !sent.has(id)))
  }

  /** Returns whether this context appended. */
  async step(tab: Tab): Promise<boolean> {
    const { chance } = this
    const what = chance.random()
    const notSent = await this.notSent(tab)
    const one = notSent.length > 0 ? chance.of(notSent) : undefined
    if (what < 0.3) await tab.append(this.events('own'))
    else if (what < 0.4) this.server.push(this.events('foreign'))
    else if (what < 0.52 && one !== undefined)
      this.server.push((chance.is(0.8) ? (notSent[0] ?? one) : one).events.map(eventOf))
    else if (what < 0.66 && this.server.length > 0) await this.pull(tab)
    else if (what < 0.84) await this.project(tab)
    else if (what < 0.88 && one !== undefined)
      await tab.changeRows((row) => (row.n === one.n ? { ...row, refused: { code: 'rule', message: '' } } : row))
    else if (what < 0.91 && one !== undefined)
      await tab.changeRows((row) => (row.n !== one.n ? row : chance.is(0.5) ? undefined : { ...row, cancel: true }))
    else if (what < 0.95 && one !== undefined) {
      const events = this.events('again').map(textOf)
      await tab.changeRows((row) => (row.n === one.n ? { ...row, events } : row))
    } else if (what < 0.97) this.follow()
    else if (chance.is(0.5)) await tab.rebuild(this.model as never)
    else if (this.ends.length > 1) await this.restore(tab)
    return what < 0.3
  }

  /** The server lost its last events: some of those of others come again. */
  async restore(tab: Tab): Promise<void> {
    const { chance } = this
    const at = chance.pick(this.ends.length - 1)
    const upTo = this.ends[at] as number
    const lost = this.ends.slice(at).map((end, index) => this.log.slice(end, this.ends[at + index + 1] ?? end))
    const identity = `identity ${(this.serial += 1)} ${crypto.randomUUID()}`
    await tab.takeBack(upTo, identity)
    this.logs.set(identity, this.log.slice(0, upTo))
    this.identity = identity
    this.ends = this.ends.slice(0, at + 1)
    this.server.length = 0
    for (const commit of lost)
      if (commit.length > 0 && !this.mine.has(commit[0]?.id ?? '') && chance.is(0.5)) this.server.push(commit)
    this.restores += 1
  }

  async pull(tab: Tab): Promise<void> {
    const commits = this.server.splice(0, 1 + this.chance.pick(this.server.length))
    await tab.pull(commits, this.log)
    for (const commit of commits) {
      this.log.push(...commit)
      this.ends.push(this.log.length)
    }
  }

  async project(tab: Tab): Promise<void> {
    await tab.run(this.model as never, this.chance.is(0.7) ? 1 + this.chance.pick(4) : undefined)
  }

  /** What views show meanwhile: each own event once, whatever happens to the rows. */
  async watched(step: Promise<boolean>): Promise<boolean> {
    let over = false
    const done = step.finally(() => (over = true))
    const look = async (view: AnyView, tab: Tab) => {
      do {
        const before = await this.shownIds(tab)
        const counts = (await view.counts.getAll()) as { id: string; times: number }[]
        const after = await this.shownIds(tab)
        for (const { id, times } of counts) expect(times, `${id} while something happens`).toBe(1)
        const found = new Set(counts.map(({ id }) => id))
        // Other policies may put a stream aside meanwhile.
        if (this.policy === 'skip')
          for (const id of before)
            if (after.has(id) && this.sure.has(id))
              expect(found.has(id), `${id} is missing while something happens`).toBe(true)
        this.looks += 1
        // A store in memory does without tasks, which the step may wait for.
        await nextTask()
      } while (!over)
    }
    const looking = this.views.map((view, at) => look(view, this.tabs[at] as Tab))
    const [changed] = await Promise.all([done, ...looking])
    return changed
  }

  /** Own events that a view has to show. */
  async shownIds(tab: Tab): Promise<ReadonlySet<string>> {
    const { outbox } = await tab.snapshot()
    const ids = outbox.filter(isPending).flatMap(({ events }) => events.map(({ id }) => id))
    return new Set([...ids, ...this.log.filter(({ id }) => this.mine.has(id)).map(({ id }) => id)])
  }

  follow(): void {
    const tab = this.chance.pick(this.views.length)
    const question = someQuestion(this.chance, this.ids)
    if (question.kind !== 'getAll') return
    const view = this.views[tab] as AnyView
    const query = view[question.table].live(question.given as object) as unknown as {
      ready(): Promise<unknown>
      subscribe(listener: () => void): () => void
    }
    query.subscribe(() => {})
    this.live.push({ tab, question, query })
  }

  /** Compares everything that is asked with the oracle. @param acted the context that appended, if that came last */
  async check(acted?: Tab): Promise<void> {
    const { chance } = this
    const { outbox } = await (this.tabs[0] as Tab).snapshot()
    const { storage } = await openStorage((this.tabs[0] as Tab).store, this.model as never)
    const { log, position } = await storage.state()
    storage.close()
    const inRows = (this.logs.get(log) as TestEvent[]).slice(0, position)
    const ids = new Set(inRows.map(({ id }) => id))
    const pending = outbox.filter(isPending).flatMap(({ events }) => events.map(eventOf))
    const laid = [...this.log.filter(({ id }) => this.mine.has(id)), ...pending].filter(({ id }) => !ids.has(id))
    const oracle = await oracleOf([...inRows, ...laid], new Set(laid.map(({ id }) => id)), this.policy)
    for (const view of this.views) {
      for (const row of (await view.counts.getAll()) as { id: string; times: number }[])
        expect(row.times, `${row.id} is shown once`).toBe(1)
      const questions = [
        ...tables.map((table): Question => ({ table, kind: 'getAll', given: {} })),
        ...Array.from({ length: 12 }, () => someQuestion(chance, this.ids)),
      ]
      const answers = await Promise.all(questions.map((question) => ask(view, question)))
      for (const [at, question] of questions.entries())
        expect(answers[at], JSON.stringify(question)).toEqual(await ask(oracle, question))
      this.asked += questions.length
      const rows = await oracle.items.getAll({ index: 'byTag', limit: 3 })
      const after = rows.at(-1)
      if (after !== undefined)
        for (const options of [
          { index: 'byTag', after, limit: 2 },
          { index: 'byN', after, direction: 'prev', limit: 2 },
          { after, limit: 2 },
        ])
          expect(await view.items.getAll(options), JSON.stringify(options)).toEqual(await oracle.items.getAll(options))
    }
    // In the context that appended a live query knows by then; of everything else it is notified.
    for (const { tab, question, query } of this.live) {
      const label = `live ${JSON.stringify(question)}`
      const wanted = await ask(oracle, question)
      if (this.tabs[tab] === acted) expect(await query.ready(), label).toEqual(wanted)
      await expect.poll(() => query.ready(), { message: label, interval: 1 }).toEqual(wanted)
    }
    await oracle.close()
  }
}

const isPending = ({ refused, cancel }: OutboxRow): boolean => refused === undefined && cancel !== true

const eventOf = ({ id, type, stream, data }: OutboxRow['events'][number]): TestEvent => ({
  id,
  type,
  stream,
  data: JSON.parse(data) as unknown,
})

async function runSchedule(backend: OverlayBackend, seed: number, steps: number): Promise<number> {
  const chance = new Chance(seed)
  const name = `overlay-${seed}-${crypto.randomUUID()}`
  const open = async () => new Tab(await backend.open({ name, url: 'https://example.com/log', durability: 'relaxed' }))
  const tabs = [await open()]
  if (backend.shared) tabs.push(await open())
  const schedule = new Schedule(chance, tabs)
  try {
    await schedule.open()
    for (let step = 0; step < steps; step += 1) {
      const { tab } = schedule
      const changed = await (chance.is(0.5) ? schedule.watched(schedule.step(tab)) : schedule.step(tab))
      if (chance.is(0.6)) await schedule.check(changed ? tab : undefined)
    }
    await schedule.check()
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
  } finally {
    for (const view of schedule.views) await view.close()
    for (const tab of tabs) await tab.store.close()
  }
  return schedule.asked
}

/** @param seeds of the schedules */
export function overlayModel(backend: OverlayBackend, seeds: readonly number[], steps: number): void {
  describe(`views over the outbox, ${backend.name}`, () => {
    test.for(seeds)(
      'N70: every question is answered as if own events were folded, seed %i',
      { timeout: 60_000 },
      async (seed) => {
        expect(await runSchedule(backend, seed, steps)).toBeGreaterThan(100)
      },
    )
  })
}
