// What is done after a write that failed as on a full disk, in Chromium on LevelDB: on a clock that passes when the test says so.
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Healing, danger, type StorageOccurrence } from '../../../src/platform/healing.js'
import { storageError } from '../../../src/platform/indexeddb.js'
import type { Hint, Signals } from '../../../src/platform/signals.js'
import { virtualClock, type VirtualClock } from '../../../src/testing/virtual-clock.js'
import { databaseExists, inject, type Injection } from '../log/inject-faults.js'
import { fakeIndexedDB } from '../../support/fake-indexeddb.js'

fakeIndexedDB()

// Files share a process, and a context stays in danger until that is over. So this file has the package for itself.
vi.hoisted(() => vi.resetModules())
afterAll(() => void vi.resetModules())

const scratch = 'tidemark::healing'
const chromium =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36'
const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0'

/** Grants one name to one after the other, as Web Locks do. */
function lockManager() {
  let last: Promise<unknown> = Promise.resolve()
  const waiting = { count: 0 }
  const request = (_name: string, { signal }: { signal: AbortSignal }, work: () => Promise<void>) => {
    waiting.count += 1
    const granted = last.then(() => {
      waiting.count -= 1
      signal.throwIfAborted()
      return work()
    })
    last = granted.catch(() => {})
    return granted
  }
  return { request, waiting }
}

/** What pages of one origin share. `later` delivers what is posted. */
function origin(later: (deliver: () => void) => void = queueMicrotask) {
  const pages = new Set<(hint: Hint) => void>()
  const posted: Hint[] = []
  const signals = (): Signals => {
    const own = new Set<(hint: Hint) => void>()
    const hear = (hint: Hint) => {
      for (const listener of [...own]) listener(hint)
    }
    pages.add(hear)
    return {
      post(hint) {
        posted.push(hint)
        later(() => pages.forEach((page) => page(hint)))
      },
      listen(listener) {
        own.add(listener)
        return () => void own.delete(listener)
      },
      close: () => void pages.delete(hear),
    }
  }
  return { signals, posted }
}

function page(clock: VirtualClock, signals: Signals) {
  const healing = new Healing(clock)
  const told: StorageOccurrence['type'][] = []
  healing.subscribe(({ type }) => told.push(type))
  return { healing, told, leave: healing.join(signals) }
}

/** Time with turns enough for a database between one timer and the next. */
async function pass(clock: VirtualClock, ms: number, step = 50): Promise<void> {
  for (let left = ms; left > 0; left -= step) {
    await turns()
    await clock.advance(Math.min(step, left))
  }
  await turns()
}
async function turns(): Promise<void> {
  for (let turn = 0; turn < 40; turn += 1) await new Promise((next) => setImmediate(next))
}

/** Counts how often a database was made and deleted. */
function countRounds() {
  const open = vi.spyOn(IDBFactory.prototype, 'open')
  const remove = vi.spyOn(IDBFactory.prototype, 'deleteDatabase')
  const named = (calls: unknown[][]) => calls.filter(([name]) => name === scratch).length
  return { tries: () => named(open.mock.calls), deleted: () => named(remove.mock.calls) }
}

const stored = new Map<string, string>()
let injection: Injection | undefined
let locks: ReturnType<typeof lockManager>

beforeEach(() => {
  locks = lockManager()
  vi.stubGlobal('navigator', { userAgent: chromium, locks })
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
    removeItem: (key: string) => void stored.delete(key),
  })
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  injection?.stop()
  injection = undefined
  stored.clear()
  await new Promise((done) => (indexedDB.deleteDatabase(scratch).onsuccess = done))
})

const full = (times: number) => (injection = inject([{ kind: 'open fails', times, error: 'UnknownError' }]))

describe('a page alone', () => {
  test('a failure is told once, a database is made and deleted three times, and then it is told that all is sound; nothing is left', async () => {
    const clock = virtualClock()
    const { healing, told, leave } = page(clock, origin().signals())
    const rounds = countRounds()
    healing.failed(new Error('first'))
    healing.failed(new Error('second'))
    expect([told, stored.has(scratch)]).toEqual([['storage-healing'], true])
    await pass(clock, 999)
    expect(rounds.tries()).toBe(0)
    await pass(clock, 1_150)
    expect([told, rounds.deleted()]).toEqual([['storage-healing'], 3])
    await pass(clock, 150)
    expect([told, stored.size, await databaseExists(scratch)]).toEqual([
      ['storage-healing', 'storage-healed'],
      0,
      false,
    ])
    await clock.advance(10 * 60_000)
    expect([rounds.tries(), rounds.deleted(), told.length, clock.pending]).toEqual([3, 3, 2, 0])
    leave()
  }, 60_000)

  test('who listens later is told of the danger at once, with the error, and nothing when there is none', () => {
    const { healing, leave } = page(virtualClock(), origin().signals())
    const heard: StorageOccurrence[] = []
    healing.subscribe((occurrence) => heard.push(occurrence))()
    const error = new Error('disk')
    healing.failed(error)
    expect(heard).toEqual([])
    const stop = healing.subscribe((occurrence) => heard.push(occurrence))
    expect(heard).toEqual([{ type: 'storage-healing', message: danger, error }])
    stop()
    leave()
  })

  test('a disk that stays full is tried after 1, 2, 4, … and at most every 30 s; once there is space, it is sound within 32 s', async () => {
    const clock = virtualClock()
    const { healing, told, leave } = page(clock, origin().signals())
    full(Infinity)
    const open = vi.spyOn(IDBFactory.prototype, 'open')
    healing.failed()
    const at: number[] = []
    for (let second = 0; second < 125; second += 1) {
      const before = open.mock.calls.length
      await pass(clock, 1_000, 500)
      if (open.mock.calls.length > before) at.push(Math.round(clock.monotonic() / 1_000))
    }
    expect(at).toEqual([1, 3, 7, 15, 31, 61, 91, 121])
    expect([told, clock.pending]).toEqual([['storage-healing'], 1])
    vi.restoreAllMocks()
    injection?.stop()
    await pass(clock, 25_500, 500)
    await pass(clock, 2_000)
    expect(told).toEqual(['storage-healing', 'storage-healed'])
    // And the next failure begins from the start.
    const rounds = countRounds()
    healing.failed()
    await pass(clock, 1_050)
    expect(rounds.tries()).toBe(1)
    leave()
  }, 60_000)

  test('a write that works is a reason to try at once, but four times a second at most; without danger it is none', async () => {
    const clock = virtualClock()
    const { healing, told, leave } = page(clock, origin().signals())
    const rounds = countRounds()
    healing.worked()
    expect(clock.pending).toBe(1) // the look at the start
    await pass(clock, 1_050)
    expect([clock.pending, rounds.tries()]).toEqual([0, 0])
    full(2)
    const tries = vi.spyOn(IDBFactory.prototype, 'open')
    healing.failed()
    healing.worked()
    await pass(clock, 100)
    expect(tries).toHaveBeenCalledTimes(1)
    for (let n = 0; n < 10; n += 1) {
      healing.worked()
      await pass(clock, 10, 10)
    }
    expect(tries).toHaveBeenCalledTimes(1)
    healing.worked()
    await pass(clock, 100)
    expect(tries).toHaveBeenCalledTimes(2)
    healing.worked()
    await pass(clock, 2_400)
    expect([told.at(-1), clock.pending]).toEqual(['storage-healed', 0])
    leave()
  }, 30_000)

  test('a failure while it heals, however early or late, is healed as well before it is called sound', async () => {
    for (const during of [100, 500, 900, 1_150]) {
      const clock = virtualClock()
      const { healing, told, leave } = page(clock, origin().signals())
      const rounds = countRounds()
      healing.failed()
      await pass(clock, 1_000 + during)
      const before = rounds.deleted()
      healing.failed()
      await pass(clock, 1_250 - during)
      expect(told).toEqual(['storage-healing'])
      await pass(clock, 2_700)
      expect([told, rounds.deleted() - before]).toEqual([['storage-healing', 'storage-healed'], 3])
      leave()
      vi.restoreAllMocks()
    }
  }, 30_000)

  test('a disk that fills again while it heals: it is not called sound, and tried again', async () => {
    const clock = virtualClock()
    const { healing, told, leave } = page(clock, origin().signals())
    healing.failed()
    await pass(clock, 1_100)
    full(1)
    await pass(clock, 1_500)
    expect([told, injection?.fired]).toEqual([['storage-healing'], true])
    await pass(clock, 3_200)
    expect(told).toEqual(['storage-healing', 'storage-healed'])
    leave()
  }, 30_000)

  test('a storage that does not answer keeps the lock for 30 s at most, and is asked again', async () => {
    const clock = virtualClock()
    const { healing, told, leave } = page(clock, origin().signals())
    vi.spyOn(IDBFactory.prototype, 'open').mockImplementationOnce(() => new IDBOpenDBRequest())
    healing.failed()
    await pass(clock, 30_900, 100)
    expect(told).toEqual(['storage-healing'])
    await pass(clock, 3_500)
    expect(told).toEqual(['storage-healing', 'storage-healed'])
    leave()
  }, 30_000)

  test('two stores heal once; closing one of them changes nothing', async () => {
    const clock = virtualClock()
    const { signals } = origin()
    const { healing, told, leave } = page(clock, signals())
    const rounds = countRounds()
    const leaveSecond = healing.join(signals())
    healing.failed()
    healing.failed()
    leave()
    await pass(clock, 2_300)
    expect([told, rounds.deleted()]).toEqual([['storage-healing', 'storage-healed'], 3])
    leaveSecond()
    expect(clock.pending).toBe(0)
  }, 30_000)

  test('closed before, while it waits or while it heals, it leaves no timer and no lock; opened again, it heals', async () => {
    for (const moment of [0, 500, 1_020, 1_500, 2_220]) {
      const clock = virtualClock()
      const { signals } = origin()
      const { healing, told, leave } = page(clock, signals())
      healing.failed()
      await pass(clock, moment)
      leave()
      await turns()
      expect(clock.pending).toBe(0)
      const rounds = countRounds()
      await clock.advance(60_000)
      expect(rounds.tries()).toBe(0)
      const healed = moment === 2_220
      expect([told.at(-1), clock.pending]).toEqual([healed ? 'storage-healed' : 'storage-healing', 0])
      // What it was about to delete is deleted by the next one, or gone already.
      const again = healing.join(signals())
      await pass(clock, 3_400)
      expect([told, await databaseExists(scratch)]).toEqual([['storage-healing', 'storage-healed'], false])
      again()
      expect(clock.pending).toBe(0)
      vi.restoreAllMocks()
    }
  }, 60_000)

  test('without Web Locks it heals all the same', async () => {
    for (const locks of [undefined, null]) {
      vi.stubGlobal('navigator', { userAgent: chromium, locks })
      const clock = virtualClock()
      const { healing, told, leave } = page(clock, origin().signals())
      healing.failed()
      await pass(clock, 2_400)
      expect(told).toEqual(['storage-healing', 'storage-healed'])
      leave()
    }
  })
})

describe('a page that comes after', () => {
  test('what a page that is gone left, its mark or its database, is found, healed and removed', async () => {
    for (const mark of [true, false]) {
      if (mark) stored.set(scratch, '')
      else
        await new Promise(
          (made) =>
            (indexedDB.open(scratch).onsuccess = ({ target }) => made((target as IDBOpenDBRequest).result.close())),
        )
      const clock = virtualClock()
      const { told, leave } = page(clock, origin().signals())
      await pass(clock, 950)
      expect(told).toEqual([])
      await pass(clock, 1_400)
      expect([told, stored.size, await databaseExists(scratch)]).toEqual([
        ['storage-healing', 'storage-healed'],
        0,
        false,
      ])
      leave()
      expect(clock.pending).toBe(0)
    }
  })

  test('it is sound where there is neither, also in a worker, which has no marks', async () => {
    for (const worker of [false, true]) {
      if (worker) vi.stubGlobal('localStorage', undefined)
      const clock = virtualClock()
      const { told, leave } = page(clock, origin().signals())
      await pass(clock, 5_000)
      expect([told, clock.pending]).toEqual([[], 0])
      leave()
    }
  })

  test('a worker heals what fails in it', async () => {
    vi.stubGlobal('localStorage', undefined)
    const clock = virtualClock()
    const { healing, told, leave } = page(clock, origin().signals())
    healing.failed()
    await pass(clock, 2_400)
    expect(told).toEqual(['storage-healing', 'storage-healed'])
    leave()
  })

  test('a store that is closed within that second looks at nothing', async () => {
    stored.set(scratch, '')
    const clock = virtualClock()
    const { told, leave } = page(clock, origin().signals())
    leave()
    await pass(clock, 5_000)
    expect([told, clock.pending]).toEqual([[], 0])
  })
})

describe('several pages', () => {
  test.each([0, 90])(
    'one of two that both failed heals; the other hears of it after %d ms, and makes no database',
    async (delay) => {
      const clock = virtualClock()
      const { signals, posted } = origin((deliver) => void clock.schedule(delay, deliver))
      const first = page(clock, signals())
      const second = page(clock, signals())
      const rounds = countRounds()
      first.healing.failed()
      second.healing.failed()
      await pass(clock, 2_500)
      expect([first.told, second.told]).toEqual([
        ['storage-healing', 'storage-healed'],
        ['storage-healing', 'storage-healed'],
      ])
      expect([rounds.tries(), rounds.deleted(), clock.pending, locks.waiting.count]).toEqual([3, 3, 0, 0])
      expect(posted.filter(({ kind }) => kind === 'healed')).toEqual([{ kind: 'healed', at: 1_000 }])
      first.leave()
      second.leave()
    },
  )

  test('a page waits for the lock once, however often something fails meanwhile', async () => {
    const clock = virtualClock()
    const { signals } = origin()
    const first = page(clock, signals())
    const second = page(clock, signals())
    vi.spyOn(IDBFactory.prototype, 'open').mockImplementationOnce(() => new IDBOpenDBRequest())
    first.healing.failed()
    await pass(clock, 1_100)
    for (let n = 0; n < 5; n += 1) {
      second.healing.failed()
      second.healing.worked()
      await pass(clock, 2_000, 500)
    }
    expect(locks.waiting.count).toBe(1)
    await pass(clock, 30_000, 500)
    await pass(clock, 3_000)
    expect([first.told.at(-1), second.told.at(-1), locks.waiting.count]).toEqual([
      'storage-healed',
      'storage-healed',
      0,
    ])
    first.leave()
    second.leave()
    expect(clock.pending).toBe(0)
  }, 30_000)

  test('the page that heals is closed: the other takes it up', async () => {
    const clock = virtualClock()
    const { signals } = origin()
    const first = page(clock, signals())
    const second = page(clock, signals())
    first.healing.failed()
    await pass(clock, 10)
    second.healing.failed()
    await pass(clock, 1_500)
    first.leave()
    await pass(clock, 1_500)
    expect([first.told, second.told, clock.pending]).toEqual([
      ['storage-healing'],
      ['storage-healing', 'storage-healed'],
      0,
    ])
    second.leave()
  })

  test('a page that did not write knows by its closed connection together with the hint, in either order, and by neither alone', async () => {
    const clock = virtualClock()
    const { signals } = origin()
    const failing = page(clock, signals())
    const early = page(clock, signals())
    const late = page(clock, signals())
    const [hintOnly, closedOnly, longAgo] = [
      page(clock, signals()),
      page(clock, origin().signals()),
      page(clock, signals()),
    ]
    longAgo.healing.closed()
    await pass(clock, 10_000)
    full(1)
    early.healing.closed()
    closedOnly.healing.closed()
    failing.healing.failed()
    await pass(clock, 50)
    // Its page was busy; the next failure says it again.
    late.healing.closed()
    await pass(clock, 1_050)
    expect([early, late, hintOnly, closedOnly, longAgo].map(({ told }) => told.length)).toEqual([1, 1, 0, 0, 0])
    await pass(clock, 5_000)
    expect([failing, early, late].map(({ told }) => told)).toEqual(
      Array.from({ length: 3 }, () => ['storage-healing', 'storage-healed']),
    )
    for (const each of [failing, early, late, hintOnly, closedOnly, longAgo]) each.leave()
    expect(clock.pending).toBe(0)
  }, 30_000)

  test('a try that failed is a failure like any other: what another page healed before it does not count', async () => {
    const clock = virtualClock({ start: 1_000_000 })
    const { signals } = origin()
    const { healing, told, leave } = page(clock, signals())
    const other = signals()
    healing.failed()
    full(1)
    await pass(clock, 1_500)
    other.post({ kind: 'healed', at: 1_000_500 })
    await clock.advance(0)
    expect(told).toEqual(['storage-healing'])
    await pass(clock, 3_500)
    expect(told).toEqual(['storage-healing', 'storage-healed'])
    leave()
  })

  test('a store that is closed while it waits for the lock, after it heard that all is sound, does not bring the danger back', async () => {
    const clock = virtualClock()
    const { signals } = origin()
    let refuse: (reason: unknown) => void = () => {}
    vi.stubGlobal('navigator', {
      userAgent: chromium,
      locks: {
        request: (_name: string, { signal }: { signal: AbortSignal }) =>
          new Promise((_granted, reject) => {
            refuse = reject
            signal.addEventListener('abort', () => reject(signal.reason))
          }),
      },
    })
    const { healing, told, leave } = page(clock, signals())
    const rest = healing.join(signals())
    healing.failed()
    await pass(clock, 1_100)
    signals().post({ kind: 'healed', at: 2_000 })
    await clock.advance(0)
    leave()
    rest()
    await clock.advance(0)
    expect([told, clock.pending, stored.size]).toEqual([['storage-healing', 'storage-healed'], 0, 0])
    refuse(undefined)
  })

  test('what failed after the other page had begun is not healed by it', async () => {
    const clock = virtualClock({ start: 1_000_000 })
    const { signals } = origin()
    const { healing, told, leave } = page(clock, signals())
    const other = signals()
    healing.failed()
    other.post({ kind: 'healed', at: 999_999 })
    await clock.advance(0)
    expect(told).toEqual(['storage-healing'])
    other.post({ kind: 'healed', at: 1_000_000 })
    await clock.advance(0)
    expect([told, clock.pending]).toEqual([['storage-healing', 'storage-healed'], 1])
    leave()
  })
})

describe('which failures count', () => {
  const failure = (name: string) => new DOMException('injected', name)

  test('another engine never does any of this', async () => {
    stored.set(scratch, '')
    for (const agent of [{ userAgent: firefox }, {}, undefined]) {
      vi.stubGlobal('navigator', agent)
      const clock = virtualClock()
      const { told, leave } = page(clock, origin().signals())
      expect(clock.pending).toBe(0)
      expect(storageError(failure('UnknownError'), 'testing', 'not-written').message).not.toContain(danger)
      expect(told).toEqual([])
      leave()
    }
  })

  test('in Chromium an UnknownError of a write says what is at risk; one of a read, or another error, does not', () => {
    expect(storageError(failure('UnknownError'), 'testing', 'unknown').message).toContain(danger)
    for (const [name, outcome] of [
      ['UnknownError', undefined],
      ['QuotaExceededError', 'not-written'],
      ['AbortError', 'unknown'],
      ['InvalidStateError', 'not-written'],
    ] as const) {
      expect(storageError(failure(name), 'testing', outcome).message).not.toContain(danger)
    }
  })
})
