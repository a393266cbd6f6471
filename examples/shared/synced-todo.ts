/** The to-do list with a server: several people and devices share it, and each of them works offline, too. */
import type { LiveQuery } from 'tidemark'
import { tidemark, type OwnCommit } from 'tidemark/sync'
import { events, todos, type Todo } from './todo'

/** Who is signed in, in this tab. An app of your own has a session for that, and a token that nobody can guess. */
export const users = ['anna', 'bert'] as const
export type User = (typeof users)[number]
export const user = (): User => users.find((each) => each === sessionStorage.getItem('user')) ?? 'anna'

export const app = tidemark({
  // Called at each opening: each user has a store of its own on this device.
  name: () => `synced-todo/${user()}`,
  events,
  models: { todos },
  sync: {
    url: new URL('/logs/home', location.href).href,
    // As the server names that user: what one did is never sent as the other.
    author: user,
    headers: () => ({ authorization: `Bearer ${user()}` }),
    wake: import.meta.env?.VITE_WAKE === 'websocket' ? 'websocket' : 'events',
  },
  hot: import.meta.hot,
})

export const list = (): LiveQuery<readonly Todo[]> => app.todos.items.live({ index: 'byAdded' })

/** The keys of the to-dos that the server has not confirmed as they are shown: for a dot next to each. */
export const unsent = () => app.todos.items.livePendingKeys()

/** A refused commit in words: what it was, and why the server does not take it. */
export function refusalOf({ events: [first], refusal }: OwnCommit): string {
  const { title } = (first?.data ?? {}) as { title?: string }
  return `${title === undefined ? 'A change' : `“${title}”`} was not taken: ${refusal?.message}`
}

/** How the list is synced, in words. */
export function syncText({ status, pending, refused }: ReturnType<typeof app.sync.status.getSnapshot>): string {
  const left = pending === 0 ? '' : `, ${pending} to send`
  if (status === 'offline') return `Offline${left}`
  if (status === 'idle' && pending === 0)
    return refused === 0 ? 'All is sent' : `${refused} not taken, all else is sent`
  if (status === 'idle' || status === 'waiting') return `Waiting${left}`
  if (status === 'paused' || status === 'stopped') return `Not syncing${left}`
  return `Syncing${left}`
}

export async function add(title: string): Promise<void> {
  if (title.trim() !== '') await app.append(`todo-${crypto.randomUUID()}`, events.TodoAdded({ title: title.trim() }))
}

export async function toggle({ id, state }: Todo): Promise<void> {
  await app.append(id, state === 'open' ? events.TodoDone(null) : events.TodoReopened(null))
}

export async function remove({ id }: Todo): Promise<void> {
  await app.append(id, events.TodoDeleted(null))
}

async function unsentCommits(): Promise<number> {
  return (await app.sync.outbox()).filter(({ status }) => status !== 'refused').length
}

/** How much would stay behind on this device if the user left now: it is sent when that user signs in here again. */
export async function left(): Promise<number> {
  if ((await unsentCommits()) === 0) return 0
  // Where the network does not respond, a round takes half a minute: the user does not wait for that.
  await app.sync.now({ signal: AbortSignal.timeout(3_000) }).catch(() => {})
  return unsentCommits()
}

/** Shows the list to another user. What was on the screen goes immediately. */
export async function signIn(next: User): Promise<void> {
  sessionStorage.setItem('user', next)
  await app.reopen()
}
