/**
 * What every binding must do, whatever its framework: a driver mounts a component that shows a query, and tells what it
 * showed. Runs in browsers.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  ClosedError,
  defineEvents,
  defineProjection,
  openEventStore,
  openReadModel,
  startProjection,
  table,
  tidemark,
  type LiveQuery,
} from 'tidemark'
import { openEventStore as openInMemory } from 'tidemark/memory'
import { fakeQuery } from './fake-query.js'

/** What a component showed in one render. */
export interface Seen<V> {
  readonly status: 'off' | 'loading' | 'ready' | 'error'
  readonly data: V | undefined
  readonly error: unknown
  readonly stale: boolean
  readonly pending?: boolean | undefined
}

export type Source<V> = LiveQuery<V> | null | undefined | false

/** A component on the page that shows a query. */
export interface Mounted<V> {
  /** What it showed in each render, the oldest first. */
  readonly seen: readonly Seen<V>[]
  /** The text that it put on the page: `textOf` of what it showed last. */
  text(): string
  /** Gives it another query, or none, and lets it render. */
  use(source: Source<V>): Promise<void>
  /** Takes it from the page. */
  unmount(): Promise<void>
}

export interface BindingDriver {
  readonly name: string
  /** A component of its own, on the page. */
  mount<V>(source: Source<V>): Promise<Mounted<V>>
  /** Lets the framework render what is due. */
  flush(): Promise<void>
  /** The answer of the former query stays, `stale`, until the new one has an answer. */
  readonly keepsFormer: boolean
  /** The framework corrects HTML that differs, and tells no component that it takes over. */
  readonly correctsHtml?: boolean
  /** How often a component that is mounted begins to listen; more than once where a framework tries its effects. @default 1 */
  readonly startsPerMount?: number
  /** Where the framework renders on a server in a way that runs in a browser, too. */
  readonly server?: {
    /** The HTML of a component that shows a query. */
    render<V>(source: Source<V>): Promise<string>
    /** The component over this HTML, in the browser. */
    hydrate<V>(html: string, source: Source<V>): Promise<Mounted<V>>
  }
}

/** What a component of a driver shows as text: the status and the data as JSON. */
export const textOf = ({ status, data, stale, pending }: Omit<Seen<unknown>, 'error'>): string =>
  `${status}${stale ? ', stale' : ''}${pending ? ', pending' : ''}${data === undefined ? '' : `: ${JSON.stringify(data)}`}`

const last = <V>({ seen }: Mounted<V>): Seen<V> | undefined => seen.at(-1)
const summary = <V>({ seen }: Mounted<V>) => seen.map(({ status, data, stale }) => textOf({ status, data, stale }))

let databases = 0

type TaskEvent = { type: 'TaskChanged'; data: { id: number; text: string } }
interface Task {
  id: number
  text: string
  numbers: number[]
}
const events = defineEvents<TaskEvent>()
const tasks = defineProjection(events, {
  name: 'tasks',
  tables: {
    tasks: table<Task>()({ key: 'id', indexes: { byText: 'text' } }),
  },
  on: { TaskChanged: ({ data }, { tasks }) => tasks.put({ ...data, numbers: [data.id] }) },
})

/** A store with a read model that follows it. */
export async function realStore(open: typeof openEventStore) {
  const store = await open({ name: `bindings-${crypto.randomUUID()}-${(databases += 1)}`, events })
  const projection = startProjection(store, tasks)
  const view = await openReadModel(store, tasks)
  return {
    view,
    async change(...changed: readonly (readonly [id: number, text: string])[]) {
      const { position } = await store.append(
        'tasks',
        changed.map(([id, text]) => events.TaskChanged({ id, text })),
      )
      await projection.caughtUp(position)
    },
    async close() {
      await view.close()
      await projection.stop()
      await store.close()
    },
  }
}

/** Runs the scenarios. Call it in a file of its own for each binding. */
export function bindingContract(driver: BindingDriver): void {
  const said: unknown[][] = []
  const ends: (() => Promise<void>)[] = []

  beforeEach(() => {
    for (const method of ['error', 'warn'] as const)
      vi.spyOn(console, method).mockImplementation((...values: unknown[]) => void said.push(values))
  })
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
    vi.restoreAllMocks()
    expect(said.splice(0)).toEqual([])
  })

  const mounted = async <V>(source: Source<V>): Promise<Mounted<V>> => {
    const component = await driver.mount(source)
    ends.push(() => component.unmount())
    return component
  }
  const opened = async (open: typeof openEventStore) => {
    const real = await realStore(open)
    ends.push(() => real.close())
    return real
  }
  /** Does what changes a query, and lets the framework render. */
  const after = async (change: () => void) => {
    change()
    await driver.flush()
  }

  describe(`${driver.name}: a query that a test drives`, () => {
    test('loading, then ready', async () => {
      const query = fakeQuery<number>()
      const component = await mounted(query)
      expect(summary(component)).toEqual(['loading'])
      await after(() => query.answer(1))
      expect(summary(component)).toEqual(['loading', 'ready: 1'])
      expect(component.text()).toBe('ready: 1')
      await after(() => query.answer(2))
      expect(summary(component)).toEqual(['loading', 'ready: 1', 'ready: 2'])
      expect(component.text()).toBe('ready: 2')
    })

    test('what a server has not confirmed is marked, until it has', async () => {
      const query = fakeQuery<number>()
      const component = await mounted(query)
      await after(() => query.answer(1, true))
      expect(component.text()).toBe('ready, pending: 1')
      await after(() => query.answer(1))
      expect(component.text()).toBe('ready: 1')
    })

    test('an answer that was there before is shown in the first render', async () => {
      const query = fakeQuery<number>()
      ends.push(async () => stop())
      const stop = query.subscribe(() => {})
      query.answer(1)
      const component = await mounted(query)
      expect(summary(component)).toEqual(['ready: 1'])
      expect(query.subscribers).toBe(2)
    })

    test('a change between the first render and the subscription is shown', async () => {
      const query = fakeQuery<number>()
      const late: LiveQuery<number> = {
        ...query,
        subscribe(listener) {
          query.answer(1)
          return query.subscribe(listener)
        },
      }
      const component = await mounted(late)
      await driver.flush()
      expect(last(component)).toMatchObject({ status: 'ready', data: 1 })
    })

    test('an error has the last answer behind it, and goes when the query recovers', async () => {
      const query = fakeQuery<number>()
      const component = await mounted(query)
      const [first, second] = [new Error('first'), new Error('second')]
      await after(() => query.fail(first))
      expect(last(component)).toMatchObject({ status: 'error', data: undefined, error: first, stale: false })
      await after(() => query.answer(1))
      expect(last(component)).toMatchObject({ status: 'ready', data: 1, error: undefined, stale: false })
      await after(() => query.fail(second))
      expect(last(component)).toMatchObject({ status: 'error', data: 1, error: second, stale: true })
      await after(() => query.answer(2))
      expect(last(component)).toMatchObject({ status: 'ready', data: 2, error: undefined, stale: false })
      expect(component.seen).toHaveLength(5)
    })

    test.for([null, undefined, false] as const)('%s, then a query, then nothing again', async (nothing) => {
      const query = fakeQuery<number>()
      const component = await mounted<number>(nothing)
      expect(summary(component)).toEqual(['off'])
      await component.use(query)
      expect(summary(component)).toEqual(['off', 'loading'])
      expect(query.subscribers).toBe(1)
      await after(() => query.answer(1))
      await component.use(nothing)
      expect(summary(component)).toEqual(['off', 'loading', 'ready: 1', 'off'])
      expect(component.text()).toBe('off')
      expect(query.subscribers).toBe(0)
      await after(() => query.answer(2))
      expect(component.seen).toHaveLength(4)
    })

    test('a query that is exchanged while its first run is under way is never shown', async () => {
      const [former, next] = [fakeQuery<string>(), fakeQuery<string>()]
      const component = await mounted(former)
      await component.use(next)
      expect([former.subscribers, next.subscribers]).toEqual([0, 1])
      await after(() => former.answer('former'))
      await after(() => next.answer('next'))
      await after(() => former.answer('former again'))
      expect(summary(component).filter((text) => text !== 'loading')).toEqual(['ready: "next"'])
      expect(component.text()).toBe('ready: "next"')
    })

    test('the answer of a former query is never shown as fresh', async () => {
      const [former, next] = [fakeQuery<string>(), fakeQuery<string>()]
      const component = await mounted(former)
      await after(() => former.answer('former'))
      const before = component.seen.length
      await component.use(next)
      await after(() => former.answer('former again'))
      expect([former.subscribers, next.subscribers]).toEqual([0, 1])
      const between = summary(component).slice(before)
      expect(between).toEqual([driver.keepsFormer ? 'ready, stale: "former"' : 'loading'])
      await after(() => next.answer('next'))
      expect(summary(component).slice(before)).toEqual([...between, 'ready: "next"'])
      // The rows of another user must not come back.
      await after(() => next.forget())
      expect(component.text()).toBe('loading')
    })

    test('the answer of a former query that is forgotten, as at a change of user, is not shown any more', async () => {
      const [former, next, third] = [fakeQuery<string>(), fakeQuery<string>(), fakeQuery<string>()]
      const component = await mounted(former)
      await after(() => former.answer('former'))
      await component.use(next)
      await component.use(third)
      expect(component.text()).toBe(driver.keepsFormer ? 'ready, stale: "former"' : 'loading')
      // The one that is followed says so, and not the one that rests.
      await after(() => {
        former.forget()
        third.forget()
      })
      expect(component.text()).toBe('loading')
      await component.use(fakeQuery<string>())
      expect(component.text()).toBe('loading')
    })

    test('a former answer does not come back behind an error, nor after no query', async () => {
      const [former, next] = [fakeQuery<string>(), fakeQuery<string>()]
      const component = await mounted(former)
      await after(() => former.answer('former'))
      await component.use(next)
      const error = new Error('next')
      await after(() => next.fail(error))
      expect(last(component)).toMatchObject({ status: 'error', data: undefined, error, stale: false })
      await component.use(former)
      await component.use(null)
      await component.use(fakeQuery<string>())
      expect(component.text()).toBe('loading')
    })

    test('a query that is used again is stale until it has read', async () => {
      const [one, other] = [fakeQuery<number>(), fakeQuery<number>()]
      const component = await mounted(one)
      await after(() => one.answer(1))
      await component.use(other)
      await after(() => other.answer(2))
      await component.use(one)
      expect(component.text()).toBe('ready, stale: 1')
      await after(() => one.answer(1))
      expect(component.text()).toBe('ready: 1')
    })

    test('the same snapshot renders nothing', async () => {
      const query = fakeQuery<number>()
      const component = await mounted(query)
      await after(() => query.answer(1))
      const before = component.seen.length
      for (let times = 0; times < 3; times += 1) await after(() => query.tell())
      await component.use(query)
      await driver.flush()
      expect(component.seen.slice(before).filter((seen) => seen.data !== 1)).toEqual([])
      expect(component.seen.length).toBe(before)
    })

    test('one row of a hundred changes: one render, and the others are the same objects', async () => {
      const rows = Array.from({ length: 100 }, (_, id) => ({ id, text: `task ${id}` }))
      const query = fakeQuery<readonly { readonly id: number; readonly text: string }[]>()
      const component = await mounted(query)
      await after(() => query.answer(rows))
      // Not the list itself: a framework may change it in place.
      const before = [...(last(component)?.data ?? [])]
      await after(() => query.answer(rows.map((row) => (row.id === 50 ? { ...row, text: 'changed' } : row))))
      expect(component.seen).toHaveLength(3)
      const now = last(component)?.data ?? []
      expect(now.map(({ text }) => text)).toEqual(rows.map(({ id, text }) => (id === 50 ? 'changed' : text)))
      expect(now.flatMap((row, id) => (row === before[id] || id === 50 ? [] : [id]))).toEqual([])
    })

    test('taken from the page while it loads, it leaves no listener', async () => {
      const query = fakeQuery<number>()
      const component = await mounted(query)
      expect(query.subscribers).toBe(1)
      await component.unmount()
      expect(query.subscribers).toBe(0)
      await after(() => query.answer(1))
      expect(summary(component)).toEqual(['loading'])
    })

    test('mounted again and again, as by a hot replacement, it leaves no listener', async () => {
      const query = fakeQuery<number>()
      for (let times = 0; times < 5; times += 1) {
        const component = await mounted(query)
        expect(query.subscribers).toBe(1)
        await after(() => query.answer(times))
        expect(component.text()).toBe(`ready: ${times}`)
        await component.unmount()
        expect(query.subscribers).toBe(0)
      }
      expect(query.starts).toBe(5 * (driver.startsPerMount ?? 1))
    })

    test('two components share one query, and one of them may leave', async () => {
      const query = fakeQuery<number>()
      const [one, other] = [await mounted(query), await mounted(query)]
      expect([query.subscribers, query.starts]).toEqual([2, driver.startsPerMount ?? 1])
      await after(() => query.answer(1))
      expect([one.text(), other.text()]).toEqual(['ready: 1', 'ready: 1'])
      await one.unmount()
      await after(() => query.answer(2))
      expect([summary(one).at(-1), other.text(), query.subscribers]).toEqual(['ready: 1', 'ready: 2', 1])
    })
  })

  describe.for([
    ['IndexedDB', openEventStore],
    ['memory', openInMemory],
  ] as const)(`${driver.name}: a store in %s`, ([, open]) => {
    test('rows appear, and change', async () => {
      const { view, change } = await opened(open)
      await change([1, 'one'])
      const component = await mounted(view.live(({ tasks }) => tasks.getAll()))
      await expect.poll(() => component.text()).toBe('ready: [{"id":1,"text":"one","numbers":[1]}]')
      expect(summary(component)[0]).toBe('loading')
      await change([1, 'two'])
      await expect.poll(() => component.text()).toBe('ready: [{"id":1,"text":"two","numbers":[1]}]')
    })

    test('two components, one query: one run', async () => {
      const { view, change } = await opened(open)
      let runs = 0
      const query = view.live(({ tasks }) => {
        runs += 1
        return tasks.count()
      })
      const [one, other] = [await mounted(query), await mounted(query)]
      await expect.poll(() => [one.text(), other.text()]).toEqual(['ready: 0', 'ready: 0'])
      const before = runs
      await change([1, 'one'])
      await expect.poll(() => [one.text(), other.text()]).toEqual(['ready: 1', 'ready: 1'])
      expect(before).toBeLessThanOrEqual(driver.startsPerMount ?? 1)
      expect(summary(one)).toEqual(['loading', 'ready: 0', 'ready: 1'])
      // The answer may be there when the second one comes.
      expect(summary(other).filter((text) => text !== 'loading')).toEqual(['ready: 0', 'ready: 1'])
    })

    test('one row of a hundred changes in the store: one render, and the others are the same objects', async () => {
      const { view, change } = await opened(open)
      await change(...Array.from({ length: 100 }, (_, id) => [id, `task ${id}`] as const))
      const component = await mounted(view.tasks.live())
      await expect.poll(() => last(component)?.data?.length).toBe(100)
      const before = [...(last(component)?.data ?? [])]
      const renders = component.seen.length
      await change([50, 'changed'])
      await expect.poll(() => last(component)?.data?.[50]?.text).toBe('changed')
      expect(component.seen).toHaveLength(renders + 1)
      const now = last(component)?.data ?? []
      expect(now.flatMap((row, id) => (row === before[id] || id === 50 ? [] : [id]))).toEqual([])
    })

    test('an app that is opened again, by another user, shows nothing of the former one', async () => {
      let user = crypto.randomUUID()
      const shop = tidemark({ name: () => `bindings-${user}`, events, models: { tasks }, open })
      ends.push(() => shop.close())
      const waits = shop.tasks.live(['waits'], () => new Promise<readonly Task[]>(() => {}))
      await shop.append('tasks', events.TaskChanged({ id: 1, text: 'mine' }), { until: 'visible' })
      const [rows, exchanged] = [await mounted(shop.tasks.tasks.live()), await mounted(shop.tasks.tasks.live())]
      const mine = 'ready: [{"id":1,"text":"mine","numbers":[1]}]'
      await expect.poll(() => [rows.text(), exchanged.text()]).toEqual([mine, mine])
      await exchanged.use(waits)
      expect(exchanged.text()).toBe(driver.keepsFormer ? mine.replace('ready', 'ready, stale') : 'loading')
      user = crypto.randomUUID()
      const opening = shop.reopen()
      await driver.flush()
      // A store in memory may be open again by now.
      expect(['loading', 'ready: []']).toContain(rows.text())
      expect(exchanged.text()).toBe('loading')
      await opening
      await expect.poll(() => rows.text()).toBe('ready: []')
      expect(exchanged.text()).toBe('loading')
      await shop.append('tasks', events.TaskChanged({ id: 2, text: 'yours' }), { until: 'visible' })
      await expect.poll(() => rows.text()).toBe('ready: [{"id":2,"text":"yours","numbers":[2]}]')
    })

    test('rows stay while newer code takes over, also in a component that is made again', async () => {
      // Each store in memory is another log.
      if (open !== openEventStore) return
      const name = `bindings-${crypto.randomUUID()}`
      const make = () => {
        const shop = tidemark({ name, events, models: { tasks }, hot: true })
        ends.push(() => shop.close())
        return shop
      }
      const before = make()
      await before.append('tasks', events.TaskChanged({ id: 1, text: 'one' }), { until: 'visible' })
      const component = await mounted(before.tasks.tasks.live())
      const one = 'ready: [{"id":1,"text":"one","numbers":[1]}]'
      await expect.poll(() => component.text()).toBe(one)
      const earlier = component.seen.length
      const after = make()
      const again = await mounted(after.tasks.tasks.live())
      await component.use(after.tasks.tasks.live())
      await after.append('tasks', events.TaskChanged({ id: 1, text: 'two' }), { until: 'visible' })
      const two = one.replace('one', 'two')
      await expect.poll(() => [component.text(), again.text()]).toEqual([two, two])
      // Not the rows as well: those that Solid showed before change in place.
      const states = [...component.seen.slice(earlier), ...again.seen].map(({ status, data }) => [status, data?.length])
      expect(states).toEqual(states.map(() => ['ready', 1]))
    })

    test('a view that is closed shows that, with the last answer', async () => {
      const { view, change } = await opened(open)
      await change([1, 'one'])
      const component = await mounted(view.live(({ tasks }) => tasks.count()))
      await expect.poll(() => component.text()).toBe('ready: 1')
      await view.close()
      await expect.poll(() => component.text()).toBe('error, stale: 1')
      expect(last(component)?.error).toBeInstanceOf(ClosedError)
      await component.unmount()
    })
  })

  const { server } = driver
  describe.skipIf(server === undefined)(`${driver.name}: HTML of a server`, () => {
    if (server === undefined) return
    const hydrated = async <V>(html: string, source: Source<V>) => {
      const component = await server.hydrate(html, source)
      ends.push(() => component.unmount())
      return component
    }

    test('shows that it loads, subscribes to nothing, and is taken over without a warning', async () => {
      const query = fakeQuery<number>()
      const html = await server.render(query)
      expect(html).toContain('loading')
      expect(query.subscribers).toBe(0)
      const component = await hydrated(html, query)
      expect(component.text()).toBe('loading')
      expect(query.subscribers).toBe(1)
      await after(() => query.answer(1))
      expect(component.text()).toBe('ready: 1')
    })

    test('is taken over also if there is an answer by then', async () => {
      const query = fakeQuery<number>()
      const html = await server.render(query)
      ends.push(async () => stop())
      const stop = query.subscribe(() => {})
      query.answer(1)
      const component = await hydrated(html, query)
      await driver.flush()
      expect(component.text()).toBe('ready: 1')
      expect(summary(component)[0]).toBe(driver.correctsHtml === true ? 'ready: 1' : 'loading')
    })

    test('of no query says so', async () => {
      const html = await server.render<number>(null)
      expect(html).toContain('off')
      const component = await hydrated<number>(html, null)
      expect(component.text()).toBe('off')
    })
  })
}
