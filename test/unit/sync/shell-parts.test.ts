// The parts of the shell, each alone: what ends a wait, how hints of the server are read, what other contexts may say.
import { describe, expect, test } from 'vitest'
import { virtualClock } from 'tidemark/testing'
import { followWake } from '../../../src/sync/follow-wake.js'
import { Nudges, type Nudge, type WaitReason } from '../../../src/sync/nudges.js'
import { Puller } from '../../../src/sync/puller.js'
import { hintIn, openSyncChannel, type SyncHint } from '../../../src/sync/sync-channel.js'
import { SyncStatusKeeper } from '../../../src/sync/sync-status-keeper.js'
import { abortable } from '../../../src/platform/promises.js'
import { openTransport, type Transport } from '../../../src/sync/transport.js'
import type { PullReply } from '../../../src/sync/sync-effects.js'

const never = new AbortController().signal

describe('what ends a wait', () => {
  const woken = async (why: WaitReason, nudge: Nudge, before = false) => {
    const clock = virtualClock()
    const nudges = new Nudges(clock)
    nudges.cursor = 4
    const raise = () => (nudge === 'server' ? nudges.hinted(5) : nudges.raise(nudge))
    if (before) raise()
    const wait = nudges.wait(1_000_000, why, never)
    await clock.advance(500)
    if (!before) raise()
    const found = await clock.runUntil(wait)
    expect(clock.pending).toBe(0)
    return found === 'time' ? undefined : [found, clock.monotonic() - (before ? 0 : 500)]
  }

  test.each<[WaitReason, Nudge, string | undefined]>([
    ['idle', 'own-append', 'own-append'],
    ['idle', 'server', 'server'],
    ['idle', 'online', 'online'],
    ['idle', 'asked', 'asked'],
    ['idle', 'reachable', undefined],
    ['offline', 'own-append', undefined],
    ['offline', 'server', undefined],
    ['offline', 'reachable', 'online'],
    ['offline', 'conflict', 'online'],
    ['offline', 'online', 'online'],
    ['offline', 'asked', 'asked'],
    ['busy', 'own-append', undefined],
    ['busy', 'reachable', undefined],
    ['busy', 'conflict', undefined],
    ['busy', 'online', 'online'],
    ['busy', 'asked', 'asked'],
    ['paused', 'own-append', undefined],
    ['paused', 'online', undefined],
    ['paused', 'asked', 'asked'],
  ])('%s: %s', async (why, nudge, expected) => {
    for (const before of [false, true]) {
      const found = await woken(why, nudge, before)
      if (expected === undefined) expect(found).toBeUndefined()
      else {
        expect(found?.[0]).toBe(expected)
        expect(found?.[1]).toBeLessThanOrEqual(nudge === 'server' ? 500 + 100 : 500)
      }
    }
  })

  test('hints about what is here already do not', async () => {
    const clock = virtualClock()
    const nudges = new Nudges(clock)
    nudges.cursor = 7
    nudges.hinted(7)
    const wait = nudges.wait(1000, 'idle', never)
    expect(await clock.runUntil(wait)).toBe('time')
    expect(clock.monotonic()).toBe(1000)
  })

  test('a hint about a position that comes here another way before it is followed does not', async () => {
    const clock = virtualClock()
    const nudges = new Nudges(clock)
    nudges.cursor = 4
    const wait = nudges.wait(1000, 'idle', never)
    await clock.advance(300)
    nudges.hinted(7)
    nudges.cursor = 7
    expect(await clock.runUntil(wait)).toBe('time')
    expect(clock.monotonic()).toBe(1000)
    expect(clock.pending).toBe(0)
  })

  test('while this device adopts, a hint is followed only once nothing more was stored for a second', async () => {
    const clock = virtualClock()
    const nudges = new Nudges(clock)
    const waits = () => nudges.wait(60_000, 'idle', never)
    nudges.isAdopting = true
    // Page after page: the hint comes before what it is about.
    const wait = waits()
    for (let page = 1; page <= 10; page += 1) {
      nudges.hinted(page)
      await clock.advance(900)
      nudges.cursor = page
    }
    nudges.hinted(11)
    const stopped = clock.monotonic()
    expect(await clock.runUntil(wait)).toBe('server')
    // The last page was stored within the second in which it was looked for.
    expect(clock.monotonic() - stopped).toBeGreaterThanOrEqual(1000)
    expect(clock.monotonic() - stopped).toBeLessThanOrEqual(2000)
    // Nothing else waits for that.
    nudges.hinted(12)
    const asked = waits()
    const before = clock.monotonic()
    nudges.raise('asked')
    expect(await clock.runUntil(asked)).toBe('asked')
    expect(clock.monotonic()).toBe(before)
    // It is complete, and the last hint was about what is here.
    nudges.hinted(13)
    const last = waits()
    nudges.isAdopting = false
    nudges.cursor = 13
    expect(await clock.runUntil(last)).toBe('time')
    expect(clock.monotonic()).toBe(before + 60_000)
    expect(clock.pending).toBe(0)
  })

  test('a log that became shorter is looked at immediately', async () => {
    const clock = virtualClock()
    const nudges = new Nudges(clock)
    nudges.hinted(7)
    nudges.hinted(5)
    nudges.cursor = 7
    expect(await clock.runUntil(nudges.wait(1000, 'idle', never))).toBe('online')
    expect(clock.monotonic()).toBe(0)
    // What it says next is compared with what it said last.
    nudges.cursor = 5
    nudges.hinted(6)
    expect(await clock.runUntil(nudges.wait(1000, 'idle', never))).toBe('server')
    nudges.cursor = 6
    nudges.hinted(6)
    expect(await clock.runUntil(nudges.wait(1000, 'idle', never))).toBe('time')
  })

  test('what ended one wait does not end the next one', async () => {
    const clock = virtualClock()
    const nudges = new Nudges(clock)
    nudges.raise('asked')
    nudges.raise('own-append')
    expect(await clock.runUntil(nudges.wait(1000, 'idle', never))).toBe('asked')
    expect(await clock.runUntil(nudges.wait(1000, 'idle', never))).toBe('time')
  })

  test('a more urgent nudge is not kept waiting by one before it', async () => {
    const clock = virtualClock({ seed: 3 })
    const nudges = new Nudges(clock)
    nudges.hinted(1)
    const wait = nudges.wait(1000, 'idle', never)
    nudges.raise('asked')
    expect(await clock.runUntil(wait)).toBe('asked')
    expect(clock.monotonic()).toBe(0)
  })

  /** One whose time passes with each look at it, as it does between two statements. */
  const passing = () => {
    let passed = 0
    let due = () => {}
    const monotonic = () => (passed += 0.1)
    const schedule = (_: number, work: () => void) => {
      due = work
      return () => (due = () => {})
    }
    return { nudges: new Nudges({ ...virtualClock(), monotonic, schedule }), fire: () => due() }
  }

  test.each<[Nudge, Nudge, string]>([
    ['own-append', 'asked', 'asked'],
    ['server', 'asked', 'asked'],
    ['own-append', 'conflict', 'online'],
    ['own-append', 'server', 'server'],
    ['server', 'own-append', 'server'],
  ])('%s, and %s before the round begins', async (first, second, expected) => {
    const { nudges, fire } = passing()
    const wait = nudges.wait(1000, 'idle', never)
    for (const nudge of [first, second])
      if (nudge === 'server') nudges.hinted(1)
      else nudges.raise(nudge)
    fire()
    expect(await wait).toBe(expected)
  })

  test('a hint of the server after a rest does so immediately, and those that follow soon at random times', async () => {
    const pauses = []
    for (let seed = 1; seed <= 20; seed += 1) {
      const clock = virtualClock({ seed })
      const nudges = new Nudges(clock)
      const pauseAfterHint = async (head: number) => {
        const start = clock.monotonic()
        nudges.cursor = head - 1
        const wait = nudges.wait(1_000_000, 'idle', never)
        nudges.hinted(head)
        expect(await clock.runUntil(wait)).toBe('server')
        return clock.monotonic() - start
      }
      expect(await pauseAfterHint(1)).toBeLessThanOrEqual(2)
      pauses.push(await pauseAfterHint(2))
      await clock.advance(100)
      expect(await pauseAfterHint(3)).toBeLessThanOrEqual(2)
    }
    expect(Math.max(...pauses)).toBeLessThanOrEqual(100)
    expect(Math.max(...pauses)).toBeGreaterThan(50)
    expect(new Set(pauses).size).toBeGreaterThan(10)
  })

  test('the signal does, and leaves no timer', async () => {
    const clock = virtualClock()
    const nudges = new Nudges(clock)
    const controller = new AbortController()
    const wait = nudges.wait(1000, 'paused', controller.signal)
    controller.abort(new Error('stop'))
    await expect(wait).rejects.toThrow('stop')
    await expect(nudges.wait(Infinity, 'idle', controller.signal)).rejects.toThrow('stop')
    expect(clock.pending).toBe(0)
  })
})

describe('the stream of hints', () => {
  const as = { log: 'l', epoch: 'e', author: '' }
  const headers = { 'Content-Type': 'text/event-stream', 'Tidemark-Log': 'l/e', 'Tidemark-Author': '' }

  /** Follows a stream that is scripted: pieces, numbers are pauses. The last one ends it, or not. */
  async function heads(pieces: readonly (string | number)[], ms: number, end = true) {
    const clock = virtualClock()
    const times: number[] = []
    let scripted = 0
    const body = () => {
      const left = [...pieces]
      return new ReadableStream<Uint8Array>({
        async pull(controller) {
          const piece = left.shift()
          if (typeof piece === 'number') {
            scripted += 1
            await new Promise<void>((resolve) => void clock.schedule(piece, resolve))
            scripted -= 1
          } else if (piece !== undefined) controller.enqueue(new TextEncoder().encode(piece))
          else if (end) controller.close()
          else await new Promise(() => {})
        },
      })
    }
    const fetch = async () => {
      times.push(clock.monotonic())
      return new Response(body(), { headers })
    }
    const transport = openTransport({ url: 'https://x.test', fetch }, clock)
    const found: number[] = []
    const controller = new AbortController()
    const followed = followWake(
      { transport, clock, as, onOpen: () => found.push(-1), onHead: (head) => found.push(head) },
      controller.signal,
    )
    const ended = expect(followed).rejects.toThrow('over')
    await clock.advance(ms)
    controller.abort(new Error('over'))
    await ended
    expect(clock.pending).toBe(scripted)
    return { found, times }
  }

  test('is read however it is cut, and with whatever else it holds', async () => {
    const text =
      ': hello\n\ndata: {"head":3}\n\nevent: x\r\ndata:{"head":4}\r\n\r\ndata: nonsense\n\ndata: {"head":-1}\n\ndata: {"head":"5"}\n\nid: 7\n\ndata: {"head":6}\n\n'
    for (const size of [1, 2, 7, 1000]) {
      const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, index) =>
        text.slice(index * size, (index + 1) * size),
      )
      const { found } = await heads(pieces, 10)
      expect(found).toEqual([-1, 3, 4, 6])
    }
  })

  test('is opened again after 1 to 30 s', async () => {
    const { times } = await heads(['data: {"head":1}\n\n'], 600_000)
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0))
    expect(pauses.length).toBeGreaterThan(10)
    for (const pause of pauses) {
      expect(pause).toBeGreaterThanOrEqual(1_000)
      expect(pause).toBeLessThanOrEqual(30_000)
    }
    expect(new Set(pauses).size).toBeGreaterThan(5)
  })

  test('that is silent for a minute is given up; comments are a sign of life', async () => {
    const alive = await heads([...Array.from({ length: 6 }, () => [': \n\n', 50_000]).flat()], 250_000)
    expect(alive.times).toHaveLength(1)
    const silent = await heads([': \n\n'], 100_000, false)
    expect(silent.times).toHaveLength(2)
    expect(silent.times[1]).toBeGreaterThan(60_000)
  })

  test('a line without an end fills no memory', async () => {
    const { found, times } = await heads(
      Array.from({ length: 100 }, () => 'x'.repeat(100)),
      40_000,
    )
    expect(found.every((each) => each === -1)).toBe(true)
    expect(times.length).toBeGreaterThan(1)
  })

  test('where there is none, it is asked for rarely', async () => {
    const clock = virtualClock()
    let asked = 0
    const fetch = async () => {
      asked += 1
      return new Response('{}', { status: 404, headers: { ...headers, 'Content-Type': 'application/json' } })
    }
    const transport = openTransport({ url: 'https://x.test', fetch }, clock)
    const controller = new AbortController()
    const followed = followWake({ transport, clock, as, onOpen() {}, onHead() {} }, controller.signal)
    const ended = expect(followed).rejects.toThrow()
    await clock.advance(1_000_000)
    controller.abort()
    await ended
    expect(asked).toBeLessThanOrEqual(4)
    expect(asked).toBeGreaterThan(1)
  })
})

describe('pulling', () => {
  const as = { log: 'l', epoch: 'e', author: '' }
  const at = (position: number) => ({ at: position, chain: `c${position}` })
  const page = (after: number, cursor: number, head: number): PullReply => ({
    kind: 'page',
    by: as,
    after: at(after),
    events: { at: after + 1, events: [], versions: [], starts: new Set() },
    cursor: at(cursor),
    head,
  })

  function puller(script: (asked: { after: number; limit: number }) => PullReply | Promise<PullReply>, usage = {}) {
    const asked: { after: number; limit: number }[] = []
    const signals: AbortSignal[] = []
    const pull: Transport['pull'] = async ({ after, limit }, signal) => {
      asked.push({ after: after.at, limit })
      signals.push(signal)
      return abortable(Promise.resolve(script({ after: after.at, limit })), signal)
    }
    const transport = { pull, hintPage: (): undefined => undefined } as Partial<Transport> as Transport
    return { asked, signals, puller: new Puller(transport, async () => usage) }
  }

  test('stops at nine tenths of what the origin may store, and pages that were under way with it', async () => {
    const full = puller(() => page(0, 1, 1), { usage: 900, quota: 1000 })
    expect(await full.puller.pull({ after: at(0), limit: 5, as }, never)).toEqual({ kind: 'full' })
    expect(full.asked).toEqual([])
    const less = puller(() => page(0, 1, 1), { usage: 899, quota: 1000 })
    expect(await less.puller.pull({ after: at(0), limit: 5, as }, never)).toMatchObject({ kind: 'page' })
    // Where the browser says nothing.
    const unknown = puller(() => page(0, 1, 1), { usage: 900 })
    expect(await unknown.puller.pull({ after: at(0), limit: 5, as }, never)).toMatchObject({ kind: 'page' })
  })

  test('takes a page that came with a hint where there is much room, and asks where that is not known', async () => {
    const asked: number[] = []
    let quota = 1000
    const transport = {
      async pull({ after }: { after: { at: number } }) {
        asked.push(after.at)
        return page(after.at, after.at + 1, after.at + 1)
      },
      hintPage: ({ after }: { after: { at: number } }) => page(after.at, after.at + 2, after.at + 2),
    } as unknown as Transport
    const it = new Puller(transport, async () => ({ usage: 100, quota }))
    const pull = (after: number) => it.pull({ after: at(after), limit: 5, as }, never)
    expect(await pull(0)).toEqual(page(0, 1, 1))
    expect(await pull(1)).toEqual(page(1, 3, 3))
    expect(asked).toEqual([0])
    quota = 120
    // The look of the last request counts.
    expect(await pull(3)).toEqual(page(3, 5, 5))
    expect(asked).toEqual([0])
  })

  test('looks how full it is while it asks, where there was much room, and keeps no page if there is none now', async () => {
    let usage = 0
    let asked = (): void => {}
    /** From the second look on, a look ends once the server was asked. */
    let look: Promise<void> | undefined
    const pull = async () => {
      asked()
      return page(0, 1, 1)
    }
    const it = new Puller({ pull, hintPage() {} } as unknown as Transport, async () => {
      await look
      return { usage, quota: 1000 }
    })
    expect(await it.pull({ after: at(0), limit: 5, as }, never)).toMatchObject({ kind: 'page' })
    usage = 950
    look = new Promise((resolve) => (asked = resolve))
    expect(await it.pull({ after: at(0), limit: 5, as }, never)).toEqual({ kind: 'full' })
    asked = () => expect.unreachable()
    expect(await it.pull({ after: at(0), limit: 5, as }, never)).toEqual({ kind: 'full' })
  })

  test('asks for fewer events while bodies are cut off before the first cursor, and for more again', async () => {
    const { asked, puller: it } = puller(({ after, limit }) =>
      limit > 100 ? { kind: 'offline', isCut: true } : page(after, after + limit, 1_000_000),
    )
    let position = 0
    for (let each = 0; each < 12; each += 1) {
      it.forget()
      const reply = await it.pull({ after: at(position), limit: 5000, as }, never)
      if (reply.kind === 'page') position = reply.cursor.at
    }
    expect(asked.slice(0, 4).map(({ limit }) => limit)).toEqual([5000, 1250, 312, 78])
    expect(position).toBeGreaterThan(200)
    // Never none at all.
    const none = puller(() => ({ kind: 'offline', isCut: true }))
    for (let each = 0; each < 10; each += 1) await none.puller.pull({ after: at(0), limit: 5000, as }, never)
    expect(none.asked.at(-1)?.limit).toBe(1)
  })

  test('what was read ahead is used for the same question only', async () => {
    const { asked, signals, puller: it } = puller(({ after, limit }) => page(after, after + limit, 1000))
    await it.pull({ after: at(0), limit: 10, as }, never)
    await it.pull({ after: at(10), limit: 10, as }, never)
    await Promise.resolve()
    expect(asked.map(({ after }) => after)).toEqual([0, 10, 20])
    await it.pull({ after: at(20), limit: 10, as: { ...as, epoch: 'other' } }, never)
    expect(asked.map(({ after }) => after).slice(0, 4)).toEqual([0, 10, 20, 20])
    expect(signals[2]?.aborted).toBe(true)
    it.forget()
    expect(signals.at(-1)?.aborted).toBe(true)
  })

  test('the signal ends a page that was read ahead, and what waits for it', async () => {
    const { puller: it } = puller(({ after, limit }) =>
      after === 0 ? page(0, limit, 1000) : new Promise<PullReply>(() => {}),
    )
    const controller = new AbortController()
    await it.pull({ after: at(0), limit: 10, as }, controller.signal)
    const waiting = it.pull({ after: at(10), limit: 10, as }, controller.signal)
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
  })
})

describe('what contexts tell each other', () => {
  const status = { status: 'idle', cursor: 1, head: 2, pending: 3, behind: 0, refused: 0 }

  test('any script can post there: what makes no sense is dropped', () => {
    const told = { kind: 'status', owner: 'x', hasLock: true, status }
    expect(hintIn(told)).toEqual(told)
    expect(hintIn({ ...told, more: 1, status: { ...status, more: 1, reason: 'nonsense', lastContact: NaN } })).toEqual(
      told,
    )
    const full = {
      ...status,
      reason: 'forbidden',
      message: 'm',
      progress: { done: 1, total: 2 },
      lastContact: 1,
      nextTry: 2,
    }
    expect(hintIn({ ...told, status: full })).toEqual({ ...told, status: full })
    for (const kind of ['who-syncs', 'look', 'control', 'hidden-leader', 'candidate'])
      expect(hintIn({ kind, owner: 5 })).toEqual({ kind })
    for (const message of [
      undefined,
      null,
      'status',
      {},
      { kind: 'other' },
      { ...told, owner: 5 },
      { ...told, owner: 'x'.repeat(101) },
      { ...told, hasLock: 1 },
      { ...told, status: undefined },
      { ...told, status: { ...status, status: 'great' } },
      { ...told, status: { ...status, cursor: -1 } },
      { ...told, status: { ...status, pending: '3' } },
      { ...told, status: { ...status, head: 1.5 } },
    ])
      expect(hintIn(message)).toBeUndefined()
  })

  test('the others hear, the one that tells does not, and nobody after the end', async () => {
    const storage = {}
    const [one, two, stranger] = [
      openSyncChannel(storage, undefined),
      openSyncChannel(storage, undefined),
      openSyncChannel({}, undefined),
    ]
    const heard: string[] = []
    const note = (name: string) => (hint: SyncHint) => heard.push(`${name} ${hint.kind}`)
    one.listenTo(note('one'))
    two.listenTo(note('two'))
    two.listen((kind) => heard.push(`two: ${kind}`))
    stranger.listenTo(note('stranger'))
    one.tell({ kind: 'look' })
    one.post('candidate')
    await Promise.resolve().then(() => {})
    expect(heard).toEqual(['two look', 'two candidate', 'two: candidate'])
    two.close()
    one.tell({ kind: 'look' })
    await Promise.resolve().then(() => {})
    expect(heard).toHaveLength(3)
  })
})

test('a status that says the same stays the same object, and nobody is called', () => {
  const keeper = new SyncStatusKeeper()
  let calls = 0
  const { subscribe, getSnapshot, getServerSnapshot } = keeper.readable
  const stop = subscribe(() => (calls += 1))
  const first = getSnapshot()
  expect(keeper.set({ status: 'following', reason: undefined })).toBe(false)
  expect(getSnapshot()).toBe(first)
  expect(keeper.set({ status: 'idle', progress: { done: 1, total: 2 } })).toBe(true)
  const second = getSnapshot()
  expect(keeper.set({ progress: { done: 1, total: 2 } })).toBe(false)
  expect(getSnapshot()).toBe(second)
  expect(keeper.set({ progress: undefined })).toBe(true)
  expect(getSnapshot()).not.toHaveProperty('progress')
  expect(getServerSnapshot()).toBe(first)
  expect(calls).toBe(2)
  stop()
  keeper.set({ status: 'working' })
  expect(calls).toBe(2)
})
