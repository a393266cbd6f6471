/** Hints between contexts: they make things faster, and their loss never makes them wrong. */
import { systemClock } from './clock.js'
import { feature } from './features.js'
import { listenerSet } from './listeners.js'
import { nextTask, soon } from './tasks.js'
import { isObject } from './objects.js'

/** What the channel of a store carries: numbers, short strings, and what a commit changed. */
export type Hint =
  /** `format`: in which the writer stores; a build that does not know it must be notified. */
  | { readonly kind: 'head'; readonly head: number; readonly format?: number }
  /** Readers see something else. */
  | {
      readonly kind: 'committed'
      readonly projection: string
      readonly position: number
      /** How often they did. */
      readonly revision: number
      /** The stamps of what they saw before and see now; empty where they are not known. */
      readonly from: string
      readonly to: string
      /** What changed, for `checkedChanges`: any script can post there. */
      readonly changes: unknown
    }
  /** A context paused, resumed, rebuilt, skipped or replayed: what a runner remembers is out of date. */
  | { readonly kind: 'control'; readonly projection: string }
  /** A hidden leader asks who would lead instead. */
  | { readonly kind: 'hidden-leader'; readonly projection: string }
  /** A visible follower would lead. */
  | { readonly kind: 'candidate'; readonly projection: string }
  /** A write failed, and all of the origin may be lost with the end of the browser: see `Healing`. */
  | { readonly kind: 'healing' }
  /** What failed before that time is repaired. */
  | { readonly kind: 'healed'; readonly at: number }
  /** The last one, within this instance only: its store is closed. */
  | { readonly kind: 'closed' }

export type Join = (before: unknown, after: unknown) => unknown

/** Hints of one store, from this context and from others. */
export interface Signals {
  /**
   * Notifies all contexts, the listeners of this instance included. Never throws. `join` returns which changes of a
   * commit are posted to other contexts, given those of the commits before it in the same message. @default `'unknown'`
   */
  post(hint: Hint, join?: Join): void
  listen(listener: (hint: Hint) => void): () => void
  close(): void
}

const position = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const shortText = (value: unknown): value is string => typeof value === 'string' && value.length <= 1000

/** A hint, or nothing for any other message on the channel: any script of the origin can post there. */
export function parseHint(message: unknown): Hint | undefined {
  if (!isObject(message)) return undefined
  const { kind, head, format, projection, position: at, at: time } = message as Record<string, unknown>
  if (kind === 'head' && position(head)) return { kind, head, ...(position(format) ? { format } : {}) }
  if ((kind === 'control' || kind === 'hidden-leader' || kind === 'candidate') && shortText(projection))
    return { kind, projection }
  if (kind === 'healing') return { kind }
  if (kind === 'healed' && position(time)) return { kind, at: time }
  if (kind === 'committed' && shortText(projection) && position(at))
    return { kind, projection, position: at, ...stampsIn(message) }
  return undefined
}

/** Of a hint of an older build, or one that makes no sense, only that there was a commit. */
function stampsIn(
  message: object,
): Pick<Hint & { readonly kind: 'committed' }, 'revision' | 'from' | 'to' | 'changes'> {
  const { revision, from, to, changes } = message as Record<string, unknown>
  return position(revision) && shortText(from) && shortText(to)
    ? { revision, from, to, changes }
    : { revision: 0, from: '', to: '', changes: 'unknown' }
}

/**
 * Between two messages that say the same of newer heads and commits, in ms: telling others of each append would take a
 * sixth of its time. Each time that something waited twice as long, up to a frame; no user can see that other tabs are
 * notified less often than that. Tabs that respond to each other wait for nothing.
 */
const spacing = 4
const longestSpacing = 16

/** Signals over a BroadcastChannel of that name where the context has one; within this instance only without a name. */
export function openSignals(channelName?: string): Signals {
  const listeners = listenerSet<[hint: Hint]>()
  const channel = openChannel(channelName, (message) => {
    const hint = parseHint(message)
    if (hint !== undefined) {
      others?.heard()
      listeners.tell(hint)
    }
  })
  const others = channel === undefined ? undefined : outbox(channel)
  return {
    post(hint, join) {
      others?.post(hint, join)
      soon(() => listeners.tell(hint))
    },
    listen: listeners.add,
    close() {
      listeners.tell({ kind: 'closed' })
      listeners.clear()
      others?.flush()
      channel?.close()
    },
  }
}

/**
 * Posts to other contexts: the first hint in the next task, what follows immediately is merged with hints that say the
 * same.
 */
function outbox(channel: BroadcastChannel) {
  let waiting = new Map<string, Hint>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let pause = spacing
  /** Until then hints are merged. */
  let due = 0
  /** Something that waits was said again. */
  let repeated = false
  const flush = () => {
    clearTimeout(timer)
    const hints = [...waiting.values()]
    waiting = new Map()
    pause = repeated ? Math.min(2 * pause, longestSpacing) : spacing
    due = systemClock.monotonic() + pause
    repeated = false
    try {
      for (const hint of hints) channel.postMessage(hint)
    } catch {
      // A closed channel: the slow poll of the others makes up for it.
    }
  }
  return {
    flush,
    /** Another context responded, perhaps to what was said last. Where that waited for nothing, the next hint does not. */
    heard() {
      if (timer === undefined) due = 0
    },
    post(hint: Hint, join: Join = () => 'unknown') {
      const about = 'projection' in hint ? `${hint.kind} ${hint.projection}` : hint.kind
      const before = waiting.get(about)
      waiting.set(about, hint.kind === 'committed' ? merged(before, hint, join) : hint)
      repeated ||= before !== undefined
      if (waiting.size > 1 || before !== undefined) return
      const left = due - systemClock.monotonic()
      // A hidden page's timers come late. Nor after a pause is there a reason to wait, but the work at hand goes first.
      const isDue = left <= 0 || feature(({ document }) => document?.visibilityState) === 'hidden'
      timer = isDue ? void nextTask().then(flush) : setTimeout(flush, left)
    },
  }
}

/**
 * Two commits of one read model as one. If something unknown came between them, the hint does not say where it begins:
 * a reader that knows the first beginning must not conclude that it knows everything.
 */
function merged(before: Hint | undefined, after: Hint & { readonly kind: 'committed' }, join: Join): Hint {
  if (before?.kind !== 'committed') return { ...after, changes: join(undefined, after.changes) }
  const isGap = before.to !== after.from || before.to === ''
  return isGap
    ? { ...after, from: '', changes: 'unknown' }
    : { ...after, from: before.from, changes: join(before.changes, after.changes) }
}

/** None without a name, and where storage is forbidden: hints do without, and opening the database says why. */
export function openChannel(
  name: string | undefined,
  received: (message: unknown) => void,
): BroadcastChannel | undefined {
  const channel = name === undefined ? undefined : feature((here) => new here.BroadcastChannel(name))
  if (channel !== undefined) {
    channel.onmessage = ({ data }: MessageEvent) => received(data)
    // In Node an open channel would keep the process alive.
    ;(channel as { unref?: () => void }).unref?.()
  }
  return channel
}
