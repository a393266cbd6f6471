/**
 * What runs in pages and workers. Every function here is sent as source to the harness, which calls it with the package,
 * its argument, and a `state` that stays between calls; so none of them may refer to anything outside itself.
 */
import type { Tidemark } from '../e2e/harness/rpc.js'
import type { Announced, AnnouncedWrite } from './account.js'
import type { PlannedBatch } from './plan.js'

type State = Record<string, any>

/** A function that is sent as source and takes no argument. */
export type Body = (tidemark: Tidemark, arg: undefined, state: State) => void | Promise<void>

export interface Entering {
  readonly store: string
  readonly durability: 'strict' | 'relaxed'
  /** Where messages go: the driver's own server, so that an acknowledgement takes the same way out of every context. */
  readonly receiver: string
  readonly profile: string
  readonly round: number
  readonly context: string
}

/** Opens the store and defines the projection. */
export async function enter(
  tidemark: Tidemark,
  { store, durability, receiver, profile, round, context }: Entering,
  state: State,
): Promise<void> {
  const untold = new Set<Promise<unknown>>()
  state['untold'] = untold
  state['tell'] = (message: object) => {
    const told = fetch(receiver, {
      method: 'POST',
      mode: 'no-cors',
      body: JSON.stringify({ profile, round, context, ...message }),
    }).catch(() => {})
    untold.add(told)
    void told.then(() => untold.delete(told))
  }
  if (state['listening'] !== true) {
    state['listening'] = true
    const uncaught = (what: string, error: any) =>
      state['tell']({ kind: 'contradiction', invariant: 'I8', detail: `${what}: ${error?.stack ?? String(error)}` })
    addEventListener('error', (event) => uncaught('uncaught error', event.error ?? event.message))
    addEventListener('unhandledrejection', (event) => uncaught('unhandled rejection', event.reason))
  }
  state['stopping'] = false
  state['work'] = []
  const catalogue = tidemark.defineEvents({ Counted: {} })
  state['catalogue'] = catalogue
  state['definition'] = tidemark.defineProjection(catalogue, {
    name: 'ledger',
    tables: {
      tallies: tidemark.table<{ name: string; count: number; sum: number; hash: number }>({ key: 'name' }),
      effects: tidemark.table<{ position: number; times: number }>({ key: 'position' }),
    },
    on: {
      Counted: async ({ position, data }, { tallies, effects }) => {
        const { key, amount, poison } = data as { key: string; amount: number; poison: boolean }
        await tallies.update(key, (row) => {
          const { count, sum, hash } = row ?? { count: 0, sum: 0, hash: 0 }
          return { name: key, count: count + 1, sum: sum + amount, hash: (Math.imul(hash, 31) + position) | 0 }
        })
        // After its first write, which must leave nothing behind.
        if (poison) throw new TypeError('poisonous')
        await effects.update(position, (row) => ({ position, times: (row?.times ?? 0) + 1 }))
      },
    },
    onFailure: ({ error }) => (error instanceof TypeError && error.message === 'poisonous' ? 'park' : 'retry'),
  })
  state['store'] = await tidemark.openEventStore({ name: store, events: catalogue, durability })
}

export interface Writing {
  readonly batches: readonly PlannedBatch[]
  /** In the background, or before it answers. */
  readonly way: 'loop' | 'turn'
}

/** Appends batch after batch, and tells of each. */
export async function write(_tidemark: Tidemark, { batches, way }: Writing, state: State): Promise<void> {
  const { store, catalogue, tell } = state
  /** The writes of a batch, whose events have their ids from here on. */
  const made = ({ id, writes }: PlannedBatch): AnnouncedWrite[] => {
    const of = writes.reduce((sum, { events }) => sum + events.length, 0)
    let index = 0
    return writes.map(({ stream, events }) => ({
      stream,
      events: events.map((event) => catalogue.Counted({ ...event, batch: id, of, index: index++ })),
    }))
  }
  const append = async ({ id, checked, again, pause }: PlannedBatch, writes: AnnouncedWrite[], next: object) => {
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause))
    const expected: Record<string, number> = {}
    try {
      if (checked) for (const { stream } of writes) expected[stream] = await store.streamVersion(stream)
      const given = checked ? writes.map((each) => ({ ...each, expectedVersion: expected[each.stream] })) : writes
      const { firstPosition, position, versions } = await store.append(given)
      tell({
        kind: 'acknowledged',
        batch: id,
        ids: writes.flatMap(({ events }) => events.map((event) => event.id)),
        firstPosition,
        position,
        versions,
        expected,
        ...next,
      })
      if (again) await repeat(id, given, position)
    } catch (error: any) {
      tell({
        kind: 'refused',
        batch: id,
        code: error?.code ?? String(error),
        outcome: error?.outcome ?? 'unknown',
        ...next,
      })
    }
  }
  /** Apart from the append itself: what becomes of the repetition, such as a store that was closed meanwhile, says nothing of the first time. */
  const repeat = async (id: string, writes: readonly AnnouncedWrite[], position: number) => {
    try {
      const { duplicate, position: answered } = await store.append(writes)
      if (duplicate && answered === position) return
      tell({
        kind: 'contradiction',
        invariant: 'H17',
        detail: `batch ${id} stands at ${position}; appended again it is at ${answered}, duplicate: ${duplicate}`,
      })
    } catch (error: any) {
      if (error?.code !== 'closed')
        tell({
          kind: 'contradiction',
          invariant: 'H17',
          detail: `batch ${id} stands at ${position}; appended again it was refused: ${error?.stack ?? error}`,
        })
    }
  }
  const loop = async () => {
    let following = batches[0] === undefined ? undefined : made(batches[0])
    if (following !== undefined) tell({ kind: 'announced', next: { batch: batches[0]?.id, writes: following } })
    for (const [index, batch] of batches.entries()) {
      if (state['stopping'] || following === undefined) return
      const writes: AnnouncedWrite[] = following
      const after = batches[index + 1]
      following = after === undefined ? undefined : made(after)
      await append(batch, writes, following === undefined ? {} : { next: { batch: after?.id, writes: following } })
    }
  }
  const running = loop()
  if (way === 'turn') await running
  else state['work'].push(running)
}

/** An append without an answer, and whether it was found. */
export type Unanswered = Announced & { readonly whole: boolean }

/** Appends once more what nobody answered for, from another context: whatever became of it, it is there once afterwards (H17). */
export async function retry(_tidemark: Tidemark, unanswered: readonly Unanswered[], state: State): Promise<void> {
  const { store, tell } = state
  for (const { batch, writes, whole } of unanswered) {
    const { firstPosition, position, versions, duplicate } = await store.append(writes)
    tell({
      kind: 'acknowledged',
      batch,
      ids: writes.flatMap(({ events }) => events.map(({ id }) => id)),
      firstPosition,
      position,
      versions,
      expected: {},
    })
    const detail = `batch ${batch} was ${whole ? '' : 'not '}there; appended again it was taken for ${duplicate ? 'a duplicate' : 'new'}`
    if (duplicate !== whole) tell({ kind: 'contradiction', invariant: 'H17', detail })
  }
}

/** Projects in the background, as an app does. */
export function project(tidemark: Tidemark, { rebuild }: { readonly rebuild: boolean }, state: State): void {
  state['projection'] = tidemark.startProjection(state['store'], state['definition'])
  if (rebuild) state['projection'].rebuild().catch(() => {})
}

/** One turn of a service worker: a run with a budget, as long as nobody else leads. */
export async function projectTurn(
  tidemark: Tidemark,
  { budget }: { readonly budget: number },
  state: State,
): Promise<void> {
  const { definition, store } = state
  const run = tidemark.runProjection(store, definition, { budget: { maxEvents: budget } })
  const outcome = await run.then(
    ({ reason }) => reason,
    (error: any) => error?.code ?? String(error),
  )
  state['tell']({ kind: 'turn', outcome })
}

/** Reads the log again and again, compacts it now and then, and looks at the checkpoint that readers are shown. */
export function read(tidemark: Tidemark, _arg: undefined, state: State): void {
  const { store, definition, tell } = state
  const loop = async () => {
    const view = await tidemark.openReadModel(store, definition)
    let last = 0
    let shown = 0
    for (let times = 1; !state['stopping']; times += 1) {
      if (times % 4 === 0) await tidemark.compactEvents(store, { eventsPerRecord: 2 + (times % 37) })
      const head = await store.head()
      if (head < last)
        tell({ kind: 'contradiction', invariant: 'I1', detail: `the head is ${head}, and ${last} was read before` })
      for await (const { position } of store.read({ after: last })) {
        if (position !== last + 1)
          tell({ kind: 'contradiction', invariant: 'I1', detail: `position ${position} was read after ${last}` })
        last = position
        if (state['stopping']) break
      }
      const checkpoint = await view.position()
      if (checkpoint < shown)
        tell({
          kind: 'contradiction',
          invariant: 'I5',
          detail: `the checkpoint is ${checkpoint}, and ${shown} was shown before`,
        })
      if (checkpoint > shown) tell({ kind: 'checkpoint', position: checkpoint })
      shown = checkpoint
      await new Promise((resolve) => setTimeout(resolve, 40))
    }
    await view.close()
  }
  state['work'].push(
    loop().catch((error) =>
      tell({ kind: 'contradiction', invariant: 'I1', detail: `a reader failed: ${error?.stack ?? String(error)}` }),
    ),
  )
}

/** Ends everything in a realm. A worker that was started anew has nothing to end. */
export async function leave(_tidemark: Tidemark, _arg: undefined, state: State): Promise<void> {
  state['stopping'] = true
  await Promise.all(state['work'] ?? [])
  await state['projection']?.stop()
  await state['store']?.close()
  // Whoever leaves in order has told everything, so that the driver need not guess.
  await Promise.all(state['untold'] ?? [])
  state['work'] = []
  state['projection'] = undefined
  state['store'] = undefined
}

/** Whether there is a store to work with: not in a service worker that was stopped and started anew. */
export function entered(_tidemark: Tidemark, _arg: undefined, state: State): boolean {
  return state['store'] !== undefined
}

/** After everything has ended: goes on to the head with the store as it is, in a realm that was entered. Answers what the package itself finds wrong. */
export async function recover(tidemark: Tidemark, _arg: undefined, state: State): Promise<readonly string[]> {
  const { store, definition } = state
  const { position, reason } = await tidemark.runProjection(store, definition, { leadership: 'wait' })
  const { ok, head, defects } = await tidemark.verifyEventStore(store)
  return [
    ...(ok ? [] : defects.map((defect: unknown) => JSON.stringify(defect))),
    ...(reason === 'caught-up' && position === head ? [] : [`a run ended at ${position} of ${head}: ${reason}`]),
  ]
}
