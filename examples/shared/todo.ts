/** The app that the examples share: what can happen, what is shown, and what a user can do. */
import { defineEvents, defineProjection, table, tidemark, type LiveQuery, type StatusStore } from 'tidemark'

export interface Todo {
  readonly id: string
  readonly title: string
  readonly state: 'open' | 'done'
  readonly added: number
}

export type TodoEvent =
  | { type: 'TodoAdded'; data: { title: string } }
  | { type: 'TodoRenamed'; data: { title: string } }
  | { type: 'TodoDone'; data: null }
  | { type: 'TodoReopened'; data: null }
  | { type: 'TodoDeleted'; data: null }

export const events = defineEvents<TodoEvent>()

export const todos = defineProjection(events, {
  name: 'todos',
  tables: {
    items: table<Todo>()({ key: 'id', indexes: { byAdded: 'added', byState: ['state', 'added'] } }),
  },
  fold: {
    items: {
      key: (event) => event.stream,
      evolve(todo, { type, stream, position, data }) {
        if (type === 'TodoAdded') return { id: stream, title: data.title, state: 'open', added: position }
        if (todo === undefined || type === 'TodoDeleted') return null
        if (type === 'TodoRenamed') return { ...todo, title: data.title }
        return { ...todo, state: type === 'TodoDone' ? 'done' : 'open' }
      },
    },
  },
})

export const app = tidemark({ name: 'todo', events, models: { todos }, hot: import.meta.hot })

export const filters = ['all', 'open', 'done'] as const
export type Filter = (typeof filters)[number]

const inState = (state: Todo['state']) =>
  ({ index: 'byState', range: { lower: [state], upper: [state, Infinity] } }) as const

/** What to show. Called again with the same filter, it returns the same query. */
export const list = (filter: Filter): LiveQuery<readonly Todo[]> =>
  app.todos.items.live(filter === 'all' ? { index: 'byAdded' } : inState(filter))
export const openCount = (): LiveQuery<number> => app.todos.items.liveCount(inState('open'))

let failure: string | undefined
const followers = new Set<() => void>()

/** Why the last thing that a user did is not saved: in a full disk, for example. Undefined if it is. */
export const problem: StatusStore<string | undefined> = {
  getSnapshot: () => failure,
  getServerSnapshot: () => undefined,
  subscribe(follower) {
    followers.add(follower)
    return () => followers.delete(follower)
  },
}

/** Never rejects: a failure is shown. */
async function saved(write: Promise<unknown>): Promise<void> {
  failure = await write.then(
    () => undefined,
    (error: unknown) => `Not saved. ${error instanceof Error ? error.message : String(error)}`,
  )
  for (const follower of followers) follower()
}

export async function add(title: string): Promise<void> {
  if (title.trim() === '') return
  await saved(app.append(`todo-${crypto.randomUUID()}`, events.TodoAdded({ title: title.trim() })))
}

export async function rename({ id, title: before }: Todo, after: string): Promise<void> {
  const title = after.trim()
  if (title === before) return
  const event = title === '' ? events.TodoDeleted(null) : events.TodoRenamed({ title })
  // Until the list shows it, so that the old title does not come back for a moment.
  await saved(app.append(id, event, { until: 'visible' }))
}

/** @param click of a checkbox that the framework does not keep as the row is: it changes when the row does. */
export async function toggle({ id, state }: Todo, click?: Event): Promise<void> {
  click?.preventDefault()
  await saved(app.append(id, state === 'open' ? events.TodoDone(null) : events.TodoReopened(null)))
}

export async function remove({ id }: Todo): Promise<void> {
  await saved(app.append(id, events.TodoDeleted(null)))
}

/** All of them in one append: either all are gone, or none. */
export async function clearDone(): Promise<void> {
  await saved(deleteDone())
}

async function deleteDone(): Promise<void> {
  const done = await app.todos.items.getAll(inState('done'))
  if (done.length > 0) await app.append(done.map(({ id }) => ({ stream: id, events: [events.TodoDeleted(null)] })))
}

/** How many are left, in words; none until it is known, as on a server. */
export const left = (count: number | undefined): string =>
  count === undefined ? '' : count === 1 ? '1 thing left' : `${count} things left`
