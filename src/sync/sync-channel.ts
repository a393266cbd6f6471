/** What the contexts of a synced store tell each other about who syncs and how. Hints: a lost one makes nothing wrong. */
import { listenerSet, type Listeners } from '../platform/listeners.js'
import { isObject } from '../platform/objects.js'
import { openChannel } from '../platform/signals.js'
import { soon } from '../platform/tasks.js'
import type { LeadershipHints } from '../projection/hand-over.js'
import { isCount } from './responses.js'
import { phases, reasons, statusOf, type SyncStatus } from './sync-status.js'

export type SyncHint =
  /** Of the context that syncs. `owner` names its run. */
  | { readonly kind: 'status'; readonly owner: string; readonly hasLock: boolean; readonly status: SyncStatus }
  /** Asks the context that syncs to tell how it is. */
  | { readonly kind: 'who-syncs' }
  /** Asks it to look again immediately. */
  | { readonly kind: 'look' }
  /** The store was paused, resumed, or is to be fetched again. */
  | { readonly kind: 'control' }
  | { readonly kind: 'hidden-leader' }
  | { readonly kind: 'candidate' }

export interface SyncChannel extends LeadershipHints {
  tell(hint: SyncHint): void
  listenTo(listener: (hint: SyncHint) => void): () => void
  close(): void
}

/** Of the instances of one storage in this context. */
const local = new WeakMap<object, Listeners<[from: object, hint: SyncHint]>>()

/** @param storage instances that share it receive what others tell, also without a name */
export function openSyncChannel(storage: object, name: string | undefined): SyncChannel {
  const listeners = listenerSet<[hint: SyncHint]>()
  let near = local.get(storage)
  if (near === undefined) local.set(storage, (near = listenerSet()))
  const others = near
  const channel = openChannel(name, (message) => {
    const hint = hintIn(message)
    if (hint !== undefined) listeners.tell(hint)
  })
  const self = {
    tell(hint: SyncHint) {
      soon(() => others.tell(self, hint))
      try {
        channel?.postMessage(hint)
      } catch {
        // Closed.
      }
    },
    listenTo: listeners.add,
    post: (kind: 'hidden-leader' | 'candidate') => self.tell({ kind }),
    listen: (listener: (kind: 'hidden-leader' | 'candidate') => void) =>
      listeners.add(({ kind }) => {
        if (kind === 'hidden-leader' || kind === 'candidate') listener(kind)
      }),
    close() {
      listeners.clear()
      leave()
      channel?.close()
    },
  }
  const leave = others.add((from, hint) => {
    if (from !== self) listeners.tell(hint)
  })
  return self
}

const plain = new Set<unknown>(['who-syncs', 'look', 'control', 'hidden-leader', 'candidate'])

/** A hint, or nothing for any other message: any script of the origin can post here. */
export function hintIn(message: unknown): SyncHint | undefined {
  if (!isObject(message)) return undefined
  const { kind, owner, hasLock, status } = message as Record<string, unknown>
  if (plain.has(kind)) return { kind } as SyncHint
  if (kind !== 'status' || typeof owner !== 'string' || owner.length > 100 || typeof hasLock !== 'boolean')
    return undefined
  const found = statusIn(status)
  return found === undefined ? undefined : { kind, owner, hasLock, status: found }
}

function statusIn(value: unknown): SyncStatus | undefined {
  if (!isObject(value)) return undefined
  const { status, reason, message, cursor, head, pending, behind, refused, progress, wake, lastContact, nextTry } =
    value as Partial<Record<keyof SyncStatus, unknown>>
  if (!phases.includes(status as never) || ![cursor, head, pending, behind, refused].every(isCount)) return undefined
  const { done, total } = (isObject(progress) ? progress : {}) as Record<string, unknown>
  const only = (entry: unknown, isRight: boolean) => (isRight ? (entry as never) : undefined)
  return statusOf({
    ...({ status, cursor, head, pending, behind, refused } as SyncStatus),
    reason: only(reason, reasons.includes(reason as never)),
    message: only(message, typeof message === 'string' && message.length <= 10_000),
    progress: only({ done, total }, isCount(done) && isCount(total)),
    wake: only(wake, wake === 'open' || wake === 'closed'),
    lastContact: only(lastContact, Number.isFinite(lastContact)),
    nextTry: only(nextTry, Number.isFinite(nextTry)),
  })
}
