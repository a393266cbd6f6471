/** What every checkpoint store and every coordinator must do. Used like the contract of the event store. */
import type { CheckpointStore, Coordinator } from '../../ports.js'
import { equal, ok, rejects } from './assert.js'
import { contractCase, notTested, type ContractCase } from './contract-case.js'

/** Something to be tested, new for each case. */
export interface PortSubject<T> {
  readonly port: T
  /** The same port as another tab would have it. @default `port` itself */
  another?(): Promise<T>
  dispose(): Promise<void>
}

/** Names that a careless encoding would mix up. */
const oddNames = [
  'a',
  'A',
  ' a',
  'a ',
  'a/b',
  'a:b',
  'a%2Fb',
  'a_b',
  'a-b',
  '-a',
  '__proto__',
  'constructor',
  'é',
  'e\u0301',
  '\u{1f600}',
  '0',
  '"',
  'a\nb',
]

/** Checkpoints: saved, replaced, missing, one for each name. */
export function checkpointStoreContract(open: () => Promise<PortSubject<CheckpointStore>>): ContractCase[] {
  const { cases, add } = suite(open)
  add('K1: a saved position is loaded', async (store) => {
    await store.save('p', 7)
    equal(await store.load('p'), 7, 'the position')
  })
  add('K2: a later save replaces the earlier one', async (store) => {
    await store.save('p', 7)
    await store.save('p', 9)
    equal(await store.load('p'), 9, 'the position')
  })
  add('K3: a name that was never saved has no position', async (store) => {
    equal(await store.load('p'), undefined, 'the position')
  })
  add('K4: each name has its own position', async (store) => {
    for (const [index, name] of oddNames.entries()) await store.save(name, index + 1)
    for (const [index, name] of oddNames.entries())
      equal(await store.load(name), index + 1, `the position of ${JSON.stringify(name)}`)
  })
  add('K2: a save from a position that is no longer stored is refused and changes nothing', async (store) => {
    await store.save('p', 3, { expected: 0 })
    await store.save('p', 5, { expected: 3 })
    await rejects(() => store.save('p', 4, { expected: 3 }), 'leadership-lost', 'the save')
    equal(await store.load('p'), 5, 'the position')
  })
  add(
    'dead letters are kept with the position that saves them, in order, or with none; a save may drop those before it',
    async (store) => {
      if (store.deadLetters === undefined) notTested('The store keeps no dead letters, which it need not.')
      const letter = (position: number) => ({
        position,
        eventId: `id-${position}`,
        eventType: 'A',
        stream: 's',
        errorName: 'Error',
        message: 'no',
        attempts: 1,
        time: 0,
      })
      const kept = async (name = 'p') => (await store.deadLetters?.(name, 0, 10))?.map(({ position }) => position)
      await store.save('p', 3, { expected: 0, deadLetters: [letter(3), letter(2)] })
      await store.save('q', 1, { deadLetters: [letter(1)] })
      await rejects(() => store.save('p', 4, { expected: 0, deadLetters: [letter(4)] }), 'leadership-lost', 'the save')
      equal(await kept(), [2, 3], 'the dead letters')
      equal(
        (await store.deadLetters('p', 2, 10)).map(({ position }) => position),
        [3],
        'those after a position',
      )
      await store.save('p', 0, { dropDeadLetters: true })
      equal([await store.load('p'), await kept(), await kept('q')], [0, [], [1]], 'position and dead letters')
      await store.save('p', 1, { dropDeadLetters: true, deadLetters: [letter(1)] })
      equal(await kept(), [1], 'what came with the drop')
    },
  )
  return cases
}

/** Locks: free, held, released, waited for, of any name. */
export function coordinatorContract(open: () => Promise<PortSubject<Coordinator>>): ContractCase[] {
  const { cases, add } = suite(open)
  add('L1: a free name is granted', async (one) => {
    const guard = await one.tryAcquire('p')
    ok(guard !== undefined && guard !== null, 'a guard')
    guard.release()
  })
  add('L2: a held name is refused immediately, here and to another', async (one, other) => {
    const guard = await one.tryAcquire('p')
    equal([await one.tryAcquire('p'), await other.tryAcquire('p')], [undefined, undefined], 'the results')
    guard?.release()
  })
  add('L3: another name is free', async (one, other) => {
    const guards = [await one.tryAcquire('p'), await other.tryAcquire('q')]
    ok(
      guards.every((guard) => guard !== undefined),
      'two guards',
    )
    for (const guard of guards) guard?.release()
  })
  add('L4: a released name is granted again, and releasing twice does no harm', async (one, other) => {
    const first = await one.acquire('p')
    first.release()
    // Waits in line: freeing a lock may take the engine a moment.
    const second = await other.acquire('p')
    first.release()
    equal(await one.tryAcquire('p'), undefined, 'what a third gets')
    equal(first.lost?.aborted ?? false, false, 'whether the first lost what it released')
    second.release()
  })
  add('L4: a context that waits in line gets the name when it is released', async (one, other) => {
    const first = await one.acquire('p')
    let granted = false
    const waiting = other.acquire('p').then((guard) => ((granted = true), guard))
    await new Promise((resolve) => setTimeout(resolve, 20))
    equal(granted, false, 'whether it was granted too early')
    first.release()
    ;(await waiting).release()
  })
  add("waiting ends with the signal's reason, and leaves the line", async (one, other) => {
    const first = await one.acquire('p')
    const controller = new AbortController()
    const waiting = rejects(() => other.acquire('p', { signal: controller.signal }), 'AbortError', 'the wait')
    controller.abort()
    await waiting
    first.release()
    ;(await one.acquire('p')).release()
  })
  add('L6: no two names collide', async (one, other) => {
    const guards = await Promise.all(oddNames.map((name) => one.tryAcquire(name)))
    for (const [index, name] of oddNames.entries())
      ok(guards[index] !== undefined, `${JSON.stringify(name)} to be granted`)
    for (const name of oddNames)
      equal(await other.tryAcquire(name), undefined, `what another gets for ${JSON.stringify(name)}`)
    for (const guard of guards) guard?.release()
  })
  return cases
}

function suite<T>(open: () => Promise<PortSubject<T>>) {
  const cases: ContractCase[] = []
  const add = (name: string, check: (port: T, other: T) => Promise<void>) => {
    cases.push(
      contractCase(name, open, async (subject) => check(subject.port, (await subject.another?.()) ?? subject.port)),
    )
  }
  return { cases, add }
}
