import { describe, expect, test } from 'vitest'
import { runProjection, VersionConflictError, type RecordedEvent, type TidemarkStore } from 'tidemark'
import { openEventStore } from 'tidemark/memory'
import { collector, faulty, virtualClock, type FaultOptions } from 'tidemark/testing'

const event = { type: 'A', data: null }
const write = { stream: 's', events: [event], expectedVersion: 0 }
const open = () => openEventStore({ name: 'faulty' })
const stream = async (store: TidemarkStore) => {
  const all: RecordedEvent[] = []
  for await (const each of store.readStream('s')) all.push(each)
  return all
}
const codes = async (count: number, work: () => Promise<unknown>) => {
  const seen: string[] = []
  for (let n = 0; n < count; n += 1)
    seen.push(
      await work().then(
        () => 'ok',
        (error: unknown) => (error as { code: string }).code,
      ),
    )
  return seen
}

describe('faults by chance', () => {
  test("F1: with a read failure of 1, a read is a storage failure that names 'read stream'", async () => {
    const store = faulty(await open(), { probabilities: { readStream: 1, readPage: 1 } })
    await expect(stream(store)).rejects.toMatchObject({
      code: 'storage-failed',
      message: expect.stringContaining("read stream 's'"),
    })
    await expect(store.readPage({ limit: 1 })).rejects.toMatchObject({
      code: 'storage-failed',
      message: expect.stringContaining('read events'),
    })
    await expect(store.read()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'storage-failed' })
  })

  test("F2: with an append failure of 1, an append is a storage failure that names 'append events', and nothing is stored", async () => {
    const store = faulty(await open(), { probabilities: { append: 1 } })
    await expect(store.append(write)).rejects.toMatchObject({
      code: 'storage-failed',
      outcome: 'not-written',
      message: expect.stringContaining('append events'),
    })
    expect(await store.head()).toBe(0)
  })

  test('F3: with a conflict of 1, an append that expects a version meets a conflict before any failure', async () => {
    const store = faulty(await open(), { probabilities: { conflict: 1, append: 1 } })
    await expect(store.append(write)).rejects.toThrow(VersionConflictError)
    await expect(
      store.append([
        { stream: 't', events: [event] },
        { ...write, expectedVersion: 'no-stream' },
      ]),
    ).rejects.toMatchObject({ stream: 's', expected: 'no-stream', actual: 1 })
    // One that expects nothing cannot conflict.
    await expect(store.append({ stream: 's', events: [event] })).rejects.toMatchObject({ code: 'storage-failed' })
  })

  test('F4: with 0 everywhere, everything passes through', async () => {
    const probabilities = {
      readPage: 0,
      readStream: 0,
      append: 0,
      load: 0,
      save: 0,
      tryAcquire: 0,
      acquire: 0,
      conflict: 0,
    }
    for (const options of [{ probabilities }, {}]) {
      const store = faulty(await open(), options)
      expect(await store.append(write)).toMatchObject({ position: 1 })
      expect(await stream(store)).toHaveLength(1)
      expect((await store.readPage({ limit: 5 })).events).toHaveLength(1)
      await store.checkpoints.save('p', 1)
      expect(await store.checkpoints.load('p')).toBe(1)
      ;(await store.coordinator.tryAcquire('p'))?.release()
      ;(await store.coordinator.acquire('p')).release()
      expect(store.faults.injected).toEqual([])
    }
  })

  test('F5: a seed fails the same calls again, whatever runs in between; without one each run is another', async () => {
    const run = async (options: FaultOptions, disturbed: boolean) => {
      const store = faulty(await open(), {
        ...options,
        probabilities: { append: { before: 0.3, after: 0.3 }, load: 0.5 },
      })
      return codes(40, async () => {
        if (disturbed) await store.checkpoints.load('p').catch(() => {})
        await store.append({ stream: 's', events: [event] })
      })
    }
    const first = await run({ seed: 7 }, false)
    expect(new Set(first)).toEqual(new Set(['ok', 'storage-failed']))
    expect(await run({ seed: 7 }, true)).toEqual(first)
    expect(await run({ seed: 8 }, false)).not.toEqual(first)
    const seeds = await Promise.all(Array.from({ length: 8 }, async () => faulty(await open()).faults.seed))
    expect(new Set(seeds).size).toBeGreaterThan(1)
  })

  test('F6: with n conflicts the first n appends conflict and the next one goes through; with none, the first', async () => {
    for (const conflicts of [0, 1, 3]) {
      const store = faulty(await open(), { conflicts })
      expect(await codes(conflicts + 1, () => store.append(write))).toEqual([
        ...Array.from({ length: conflicts }, () => 'version-conflict'),
        'ok',
      ])
    }
  })
})

test('V19: probabilities outside 0 to 1, failures at no call, and calls that there are none of are refused', async () => {
  const store = await open()
  const bad = [
    ...[-0.1, 1.5, NaN, '1'].flatMap((value) => [
      { probabilities: { append: value } },
      { probabilities: { append: { after: value } } },
      { probabilities: { conflict: value } },
    ]),
    { probabilities: { apend: 0.5 } },
    { conflicts: -1 },
    { conflicts: 1.5 },
    { seed: 0.5 },
    ...[0, -1, 1.5, NaN, []].map((at) => ({ failures: [{ call: 'append', at }] })),
    { failures: [{ call: 'apend', at: 1 }] },
    { failures: [{ call: 'append', at: 1, side: 'during' }] },
  ]
  for (const options of bad)
    expect(() => faulty(store, options as never), JSON.stringify(options)).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    )
})

describe('a script', () => {
  test('fails exactly the calls that it names, each kind of call counted by itself', async () => {
    const store = faulty(await open(), {
      failures: [
        { call: 'append', at: [2, 3] },
        { call: 'load', at: 1 },
      ],
    })
    expect(await codes(4, () => store.append({ stream: 's', events: [event] }))).toEqual([
      'ok',
      'storage-failed',
      'storage-failed',
      'ok',
    ])
    expect(await codes(2, () => store.checkpoints.load('p'))).toEqual(['storage-failed', 'ok'])
    expect(store.faults.injected).toEqual([
      { call: 'append', at: 2, kind: 'before' },
      { call: 'append', at: 3, kind: 'before' },
      { call: 'load', at: 1, kind: 'before' },
    ])
  })

  test('W21: after the act, the append is stored and its outcome unknown; a retry of the same ids finds it', async () => {
    const store = faulty(await open(), { failures: [{ call: 'append', at: 1, side: 'after' }] })
    const given = { ...write, events: [{ ...event, id: 'one' }] }
    await expect(store.append(given)).rejects.toMatchObject({ outcome: 'unknown' })
    expect(await store.head()).toBe(1)
    expect(await store.append(given)).toMatchObject({ position: 1, duplicate: true })
  })

  test('W21: after the act, a checkpoint is saved, and a lock that was granted is free again', async () => {
    const store = faulty(await open(), {
      failures: [
        { call: 'save', at: 1, side: 'after' },
        { call: 'tryAcquire', at: 1, side: 'after' },
        { call: 'acquire', at: 1, side: 'after' },
      ],
    })
    await expect(store.checkpoints.save('p', 7)).rejects.toMatchObject({
      outcome: 'unknown',
      message: expect.stringContaining("save checkpoint 'p'"),
    })
    expect(await store.checkpoints.load('p')).toBe(7)
    await expect(store.coordinator.tryAcquire('p')).rejects.toThrow('acquire leadership')
    await expect(store.coordinator.acquire('p')).rejects.toThrow('acquire leadership')
    expect(await store.coordinator.tryAcquire('p')).toBeDefined()
  })

  test('W21: after the act, a stream was read to its end, and then failed', async () => {
    const store = faulty(await open(), { failures: [{ call: 'readStream', at: 1, side: 'after' }] })
    await store.append({ stream: 's', events: [event, event] })
    const seen: number[] = []
    const reading = (async () => {
      for await (const { version } of store.readStream('s')) seen.push(version)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'storage-failed' })
    expect(seen).toEqual([1, 2])
  })

  test('throws an error of its own, and stops when told to', async () => {
    const mine = new RangeError('mine')
    const store = faulty(await open(), {
      probabilities: { load: 1 },
      conflicts: 5,
      failures: [{ call: 'append', at: 1, error: mine }],
    })
    await expect(store.append({ stream: 's', events: [event] })).rejects.toBe(mine)
    store.faults.stop()
    expect(await store.checkpoints.load('p')).toBeUndefined()
    expect(await store.append(write)).toMatchObject({ position: 1 })
  })
})

test('the backend itself is not changed, and is still what it was: spread, disposed of, or an instance with private fields', async () => {
  const inner = await open()
  const store = faulty(inner, { probabilities: { append: 1, load: 1 } })
  await expect({ ...store }.append(write)).rejects.toMatchObject({ code: 'storage-failed' })
  expect(await inner.append(write)).toMatchObject({ position: 1 })
  expect(store.name).toBe('faulty')
  class Checkpoints {
    readonly #positions = new Map<string, number>()
    async load(name: string) {
      return this.#positions.get(name)
    }
    async save(name: string, position: number) {
      this.#positions.set(name, position)
    }
  }
  const own = faulty(Object.freeze(new Checkpoints()), { failures: [{ call: 'save', at: 2 }] })
  await own.save('p', 1)
  await expect(own.save('p', 2)).rejects.toMatchObject({ outcome: 'not-written' })
  expect(await own.load('p')).toBe(1)
  expect('append' in own).toBe(false)
  {
    await using disposable = store
    void disposable
  }
  await expect(inner.head()).rejects.toMatchObject({ code: 'closed' })
})

test('a projection over a faulty backend applies every event at least once, in order, and is done in the end', async () => {
  const inner = await open()
  await inner.append({ stream: 's', events: Array.from({ length: 30 }, () => event) })
  for (let seed = 1; seed <= 8; seed += 1) {
    const store = faulty(inner, {
      seed,
      probabilities: {
        readPage: { before: 0.2, after: 0.2 },
        load: 0.2,
        save: { before: 0.2, after: 0.2 },
        tryAcquire: { before: 0.2, after: 0.2 },
      },
    })
    const all = collector(`all-${seed}`)
    let ended = false
    for (let attempt = 1; !ended; attempt += 1) {
      expect(attempt, `seed ${seed} never ends`).toBeLessThan(50)
      const clock = virtualClock()
      ended = await clock
        .runUntil(runProjection(store, all, { clock, checkpoint: 'each-event', poll: { maxConsecutiveFailures: 2 } }))
        .then(
          () => true,
          () => false,
        )
    }
    const firsts = [...new Set(all.events.map(({ position }) => position))]
    expect(firsts, `seed ${seed}`).toEqual(Array.from({ length: 30 }, (_, index) => index + 1))
  }
})
