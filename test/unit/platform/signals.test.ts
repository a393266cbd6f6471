// Hints cost the sender little: a burst of them is a message or two.
import { afterEach, expect, test, vi } from 'vitest'
import { openSignals, parseHint, type Hint } from '../../../src/platform/signals.js'
import { nextTask } from '../../../src/platform/tasks.js'

/** What is posted to any channel. */
const posted: Hint[] = []
class Channel {
  /** Of the channel that was opened last. */
  static receive: (message: { data: unknown }) => void
  set onmessage(receive: typeof Channel.receive) {
    Channel.receive = receive
  }
  postMessage(hint: Hint) {
    posted.push(hint)
  }
  close() {}
}

function signals() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  vi.stubGlobal('BroadcastChannel', Channel)
  posted.length = 0
  return openSignals('channel')
}

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

test('the first hint goes out in the next task, and those of the 4 ms after it as the last of them', async () => {
  const { post } = signals()
  post({ kind: 'head', head: 1 })
  expect(posted).toEqual([])
  await nextTask()
  expect(posted).toEqual([{ kind: 'head', head: 1 }])
  for (const head of [2, 3, 4]) post({ kind: 'head', head })
  vi.advanceTimersByTime(3)
  expect(posted).toHaveLength(1)
  vi.advanceTimersByTime(1)
  expect(posted.slice(1)).toEqual([{ kind: 'head', head: 4 }])
})

test('what follows the response of another context waits for nothing, unless hints follow each other quickly', async () => {
  const { post } = signals()
  const head = (head: number): Hint => ({ kind: 'head', head })
  const receive = (data: unknown) => Channel.receive({ data })
  post(head(1))
  await nextTask()
  receive({ kind: 'committed', projection: 'p', position: 1 })
  post(head(2))
  await nextTask()
  expect(posted).toEqual([head(1), head(2)])
  // No hint is no response.
  receive({ kind: 'something else' })
  post(head(3))
  await nextTask()
  receive(head(4))
  post(head(5))
  await nextTask()
  expect(posted).toHaveLength(2)
  vi.advanceTimersByTime(4)
  expect(posted.slice(2)).toEqual([head(5)])
  // In a burst a response changes nothing.
  receive(head(6))
  post(head(7))
  await nextTask()
  expect(posted).toHaveLength(3)
  vi.advanceTimersByTime(8)
  expect(posted.slice(3)).toEqual([head(7)])
})

test('where hints go on and on, the pause between two messages grows to 16 ms, and the first hint that was alone ends that', async () => {
  const { post } = signals()
  post({ kind: 'head', head: 0 })
  await nextTask()
  const times: number[] = []
  for (let ms = 1; ms <= 80; ms += 1) {
    const before = posted.length
    post({ kind: 'head', head: ms })
    vi.advanceTimersByTime(1)
    if (posted.length > before) times.push(ms)
  }
  expect(times).toEqual([4, 12, 28, 44, 60, 76])
  vi.advanceTimersByTime(12)
  expect(posted.at(-1)).toEqual({ kind: 'head', head: 80 })
  // That was a pause of 16 ms once more; whoever comes after it goes out at once, and the one 4 ms later as well.
  for (const head of [81, 82]) {
    vi.advanceTimersByTime(head === 81 ? 16 : 4)
    post({ kind: 'head', head })
    await nextTask()
    expect(posted.at(-1)).toEqual({ kind: 'head', head })
  }
})

/** Of changes that are lists. */
const join = (before: unknown, after: unknown) => [...((before ?? []) as unknown[]), ...(after as unknown[])]
const commit = (projection: string, from: string, to: string, ...changes: unknown[]): Hint => ({
  kind: 'committed',
  projection,
  position: changes.length,
  revision: 7,
  from,
  to,
  changes,
})

test('commits of one projection that follow each other are told as one, those of others apart', async () => {
  const { post } = signals()
  post(commit('p', 'a', 'b', 1), join)
  post(commit('q', 'a', 'b', 5), join)
  post(commit('p', 'b', 'c', 2, 3), join)
  await nextTask()
  expect(posted).toEqual([
    { ...commit('p', 'a', 'c', 1, 2, 3), position: 2 },
    { ...commit('q', 'a', 'b', 5), position: 1 },
  ])
})

test.for<[string, Hint[], string]>([
  ['what came between is not known', [commit('p', 'a', 'b'), commit('p', 'x', 'c')], 'c'],
  ['neither says where it began', [commit('p', '', 'b'), commit('p', '', 'c')], 'c'],
  ['the first does not say where it ended', [commit('p', 'a', ''), commit('p', '', 'c')], 'c'],
  ['… and more follows', [commit('p', 'a', 'b'), commit('p', 'x', 'c'), commit('p', 'c', 'd')], 'd'],
])(
  'commits of one projection with a gap are told as one that nobody takes for what followed: %s',
  async ([, hints, to]) => {
    const { post } = signals()
    for (const hint of hints) post(hint, (before, after) => (before === 'unknown' ? before : join(before, after)))
    await nextTask()
    expect(posted).toEqual([expect.objectContaining({ from: '', to, changes: 'unknown' })])
  },
)

test('others are told what the commit says of its changes for them, the instance all of it', async () => {
  const { post, listen } = signals()
  const heard: unknown[] = []
  listen((hint) => heard.push(hint))
  post(commit('p', 'a', 'b', 1, 2), (_before, after) => (after as unknown[]).length)
  post(commit('q', 'a', 'b', 1, 2))
  await nextTask()
  expect(heard).toEqual([commit('p', 'a', 'b', 1, 2), commit('q', 'a', 'b', 1, 2)])
  expect(posted).toEqual([
    { ...commit('p', 'a', 'b', 1, 2), changes: 2 },
    { ...commit('q', 'a', 'b', 1, 2), changes: 'unknown' },
  ])
})

test('in a hidden page, whose timers come late, nothing waits for one (H58)', async () => {
  const { post } = signals()
  vi.stubGlobal('document', { visibilityState: 'hidden' })
  post({ kind: 'head', head: 1 })
  await nextTask()
  post({ kind: 'head', head: 2 })
  await nextTask()
  expect(posted).toHaveLength(2)
})

test('listeners of the instance hear every hint, and what waits at the end is sent', async () => {
  const { post, listen, close } = signals()
  const heard: number[] = []
  listen((hint) => void (hint.kind === 'head' && heard.push(hint.head)))
  for (const head of [1, 2, 3]) post({ kind: 'head', head })
  await Promise.resolve()
  expect(heard).toEqual([1, 2, 3])
  close()
  expect(posted).toEqual([{ kind: 'head', head: 3 }])
})

test('what is said of healing is heard as it was said, with a time that may be one, and nothing else', () => {
  // Only this instance knows that its store is closed.
  expect(parseHint({ kind: 'closed' })).toBe(undefined)
  expect(parseHint({ kind: 'healing', more: 1 })).toEqual({ kind: 'healing' })
  expect(parseHint({ kind: 'healed', at: 5, more: 1 })).toEqual({ kind: 'healed', at: 5 })
  for (const at of [undefined, null, '5', -1, 0.5, NaN, Infinity, 2 ** 53, {}])
    expect(parseHint({ kind: 'healed', at })).toBe(undefined)
})
