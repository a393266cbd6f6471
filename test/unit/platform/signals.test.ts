// Hints cost the sender little: a burst of them is a message or two.
import { afterEach, expect, test, vi } from 'vitest'
import { openSignals, parseHint, type Hint } from '../../../src/platform/signals.js'
import { nextTask } from '../../../src/platform/tasks.js'

/** What is posted to any channel. */
const posted: Hint[] = []

class Channel {
  onmessage: unknown
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

test('commits of one projection are told together with all tables that they changed, those of others apart', async () => {
  const { post } = signals()
  post({ kind: 'committed', projection: 'a', position: 1, tables: ['x', 'y'] })
  post({ kind: 'committed', projection: 'b', position: 1, tables: ['z'] })
  post({ kind: 'committed', projection: 'a', position: 2, tables: ['y', 'w'] })
  await nextTask()
  expect(posted).toEqual([
    { kind: 'committed', projection: 'a', position: 2, tables: ['x', 'y', 'w'] },
    { kind: 'committed', projection: 'b', position: 1, tables: ['z'] },
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
  expect(parseHint({ kind: 'healing', more: 1 })).toEqual({ kind: 'healing' })
  expect(parseHint({ kind: 'healed', at: 5, more: 1 })).toEqual({ kind: 'healed', at: 5 })
  for (const at of [undefined, null, '5', -1, 0.5, NaN, Infinity, 2 ** 53, {}])
    expect(parseHint({ kind: 'healed', at })).toBe(undefined)
})
