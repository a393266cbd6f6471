/**
 * Views over the outbox against an oracle: whatever is appended, confirmed, refused and folded, in whatever order, every
 * question is answered as a read model would answer it that was folded from the confirmed events in the rows and the own
 * events that are not in them.
 */
import { defineEvents, defineProjection, openReadModel, runProjection, table, type TidemarkStore } from 'tidemark'
import { openEventStore as openMemory } from 'tidemark/memory'
import { describe, expect, test } from 'vitest'
import { nextTask } from '../../../src/platform/tasks.js'
import { seededRandom } from '../../../src/testing/random.js'
import { Device, Tab, type TestEvent } from './overlay-device.js'

export interface OverlayBackend {
  readonly name: string
  /** Two contexts may open one store. */
  readonly shared: boolean
  open(name: string): Promise<TidemarkStore>
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
  readonly device: Device
  readonly tabs: readonly Tab[]
  readonly model: Model
  readonly policy: Policy
  /** What the server has, beyond what was pulled. */
  readonly server: TestEvent[] = []
  readonly views: AnyView[] = []
  readonly live: {
    readonly tab: number
    readonly question: Question
    readonly query: { ready(): Promise<unknown> }
  }[] = []
  readonly ids: string[] = []
  /** Events that no handler refuses. */
  readonly sure = new Set<string>()
  serial = 0
  asked = 0
  looks = 0

  constructor(chance: Chance, device: Device, tabs: readonly Tab[]) {
    this.chance = chance
    this.device = device
    this.tabs = tabs
    this.policy = chance.of(['skip', 'park', 'park-stream'] as const)
    this.model = modelOf('model', 1, () => this.policy)
  }

  async open(): Promise<void> {
    for (const tab of this.tabs) this.views.push((await tab.view(this.model as never)) as unknown as AnyView)
    for (let at = 0; at < 10; at += 1) this.follow()
  }

  events(by: string): TestEvent[] {
    const { chance } = this
    return Array.from({ length: 1 + chance.pick(3) }, () => {
      const id = `${by}${(this.serial += 1)}`
      this.ids.push(id)
      const { type, data } = someEvent(chance)
      if (type === 'Put') this.sure.add(id)
      return { id, type, data, stream: `s${chance.pick(3)}` }
    })
  }

  get tab(): Tab {
    return this.chance.of(this.tabs)
  }

  /** Returns whether it was the outbox that changed, by the first context. */
  async step(tab: Tab): Promise<void> {
    const { chance, device } = this
    const what = chance.random()
    const pending = device.outbox.filter(({ refused, cancel }) => refused === undefined && cancel !== true)
    const notSent = pending.filter(({ events: [first] }) => !this.server.some(({ id }) => id === first?.id))
    if (what < 0.3) await device.append(tab, this.events('own'))
    else if (what < 0.4) this.server.push(...this.events('foreign'))
    else if (what < 0.52 && notSent.length > 0) {
      const row = chance.is(0.8) ? notSent[0] : chance.of(notSent)
      for (const { id, type, stream, data } of row?.events ?? [])
        this.server.push({ id, type, stream, data: JSON.parse(data) as unknown })
    } else if (what < 0.66 && this.server.length > 0) await this.pull(tab)
    else if (what < 0.84) await this.project(tab)
    else if (what < 0.88 && notSent.length > 0) {
      const { n } = chance.of(notSent)
      await device.change(tab, (row) => (row.n === n ? { ...row, refused: { code: 'no', message: '' } } : row))
    } else if (what < 0.91 && notSent.length > 0) {
      const { n } = chance.of(notSent)
      await device.change(tab, (row) => (row.n !== n ? row : chance.is(0.5) ? undefined : { ...row, cancel: true }))
    } else if (what < 0.95 && notSent.length > 0) {
      const { n } = chance.of(notSent)
      const events = this.events('again')
      await device.change(tab, (row) => (row.n === n ? { ...row, events: events.map(toText) } : row))
    } else if (what < 0.97) this.follow()
    else if (chance.is(0.5)) await this.rebuild(tab)
  }

  /** Whole commits, as a server sends them. */
  async pull(tab: Tab): Promise<void> {
    const { device, server, chance } = this
    let count = 1 + chance.pick(server.length)
    const inside = (at: number) =>
      device.outbox.some(({ events }) => {
        const first = server.findIndex(({ id }) => id === events[0]?.id)
        return first >= 0 && first < at && at < first + events.length
      })
    while (inside(count)) count += 1
    await device.pull(tab, server.splice(0, count))
  }

  async project(tab: Tab): Promise<void> {
    await tab.run(this.model as never, this.chance.is(0.7) ? 1 + this.chance.pick(4) : undefined)
  }

  async rebuild(tab: Tab): Promise<void> {
    const { startProjection } = await import('tidemark')
    const handle = startProjection(tab.store, this.model as never, { retry: { maxRetries: 0 } })
    await handle.rebuild()
    await handle.stop()
  }

  /** What views show meanwhile: each own event once, whatever happens to the rows. */
  async watched(step: Promise<void>): Promise<void> {
    const { device } = this
    const shown = new Map<string, string>()
    for (const { id, type } of device.log) shown.set(id, type)
    const owned = new Set(device.own.flatMap(({ at, n }) => device.log.slice(at - 1, at - 1 + n).map(({ id }) => id)))
    for (const { events, refused, cancel } of device.outbox)
      if (refused === undefined && cancel !== true) for (const { id } of events) owned.add(id)
    let over = false
    const done = step.finally(() => (over = true))
    const look = async (view: AnyView) => {
      do {
        const counts = (await view.counts.getAll()) as { id: string; times: number }[]
        for (const { id, times } of counts) expect(times, `${id} while something happens`).toBe(1)
        const ids = new Set(counts.map(({ id }) => id))
        const isOut = (id: string) =>
          device.outbox.some(
            ({ events, refused, cancel }) =>
              (refused ?? cancel) !== undefined && events.some((event) => event.id === id),
          ) ||
          !(
            device.outbox.some(({ events }) => events.some((event) => event.id === id)) ||
            device.log.some((event) => event.id === id)
          )
        if (this.policy === 'skip')
          for (const id of owned)
            if (this.sure.has(id) && !isOut(id))
              expect(ids.has(id), `${id} is missing while something happens`).toBe(true)
        this.looks += 1
        // A store in memory does without tasks, which the step may wait for.
        await nextTask()
      } while (!over)
    }
    await Promise.all([done, ...this.views.map(look)])
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

  /** Compares everything that is asked with the oracle. @param acted the context that changed the outbox last */
  async check(acted?: Tab): Promise<void> {
    const { device, chance } = this
    const position = await (this.views[0] as AnyView).position()
    const own = device.own.flatMap(({ at, n }) => Array.from({ length: n }, (_, index) => at + index))
    const confirmed = own.filter((at) => at > position).map((at) => device.log[at - 1] as TestEvent)
    const pending = device.outbox
      .filter(({ refused, cancel }) => refused === undefined && cancel !== true)
      .flatMap(({ events }) =>
        events.map(({ id, type, stream, data }) => ({ id, type, stream, data: JSON.parse(data) as unknown })),
      )
    const laid = [...confirmed, ...pending]
    const oracle = await oracleOf(
      [...device.log.slice(0, position), ...laid],
      new Set(laid.map(({ id }) => id)),
      this.policy,
    )
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
    // In the context that changed the outbox a live query knows by then; of everything else it is notified.
    for (const { tab, question, query } of this.live) {
      const label = `live ${JSON.stringify(question)}`
      const wanted = await ask(oracle, question)
      if (this.tabs[tab] === acted) expect(await query.ready(), label).toEqual(wanted)
      else await this.tabs[tab]?.changed()
      await expect.poll(() => query.ready(), { message: label, interval: 1 }).toEqual(wanted)
    }
    await oracle.close()
  }
}

const toText = ({ id, type, stream, data }: TestEvent) => ({
  type,
  stream,
  id,
  idGiven: true,
  time: 0,
  schema: 1,
  data: JSON.stringify(data),
  meta: undefined,
})

export async function runSchedule(backend: OverlayBackend, seed: number, steps: number): Promise<number> {
  const chance = new Chance(seed)
  const name = `overlay-${seed}-${crypto.randomUUID()}`
  const store = await backend.open(name)
  const { storeInternals } = await import('../../../src/log/open.js')
  const device = new Device(await storeInternals(store).logId())
  const tabs = [new Tab(device, store)]
  if (backend.shared) tabs.push(new Tab(device, await backend.open(name)))
  const schedule = new Schedule(chance, device, tabs)
  await schedule.open()
  try {
    for (let step = 0; step < steps; step += 1) {
      const { tab } = schedule
      const before = device.state.turn + device.outbox.length
      if (chance.is(0.5)) await schedule.watched(schedule.step(tab))
      else await schedule.step(tab)
      if (chance.is(0.6)) await schedule.check(before === device.state.turn + device.outbox.length ? undefined : tab)
    }
    await schedule.check()
  } catch (error) {
    const { policy, server, ids } = schedule
    const { outbox, own, log } = device
    if (typeof process !== 'undefined' && process.env.SHOW)
      console.log(
        JSON.stringify(
          {
            policy,
            server,
            ids: ids.length,
            outbox,
            own,
            log,
            letters: 0,
            position: await (schedule.views[0] as any).position(),
          },
          null,
          1,
        )
          .replace(/\n\s+/g, ' ')
          .replaceAll('{ "id"', '\n{ "id"'),
      )
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
