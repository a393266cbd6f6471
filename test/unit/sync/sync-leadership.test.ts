// Which tab syncs: pages that are hidden, frozen or closed, locks that are taken away, and storage that fails.
import { afterEach, describe, expect, test } from 'vitest'
import { testSyncServer, virtualClock } from 'tidemark/testing'
import { StorageFailedError, StorageFullError } from '../../../src/errors.js'
import { listenerSet } from '../../../src/platform/listeners.js'
import type { PageLifecycle, Presence } from '../../../src/platform/page-lifecycle.js'
import type { Coordinator, Guard } from '../../../src/ports.js'
import { syncParts, type SyncParts } from '../../../src/sync/sync-parts.js'
import { SyncShell } from '../../../src/sync/sync-shell.js'
import { Device } from '../../support/synced-device.js'

/** A page that the test hides, freezes and shows. */
class Page implements PageLifecycle {
  #presence: Presence = 'visible'
  readonly #listeners = listenerSet<[presence: Presence]>()
  readonly subscribe = this.#listeners.add
  presence() {
    return this.#presence
  }
  become(presence: Presence) {
    this.#presence = presence
    this.#listeners.tell(presence)
  }
}

const shells: SyncShell[] = []
let seed = 0

function world() {
  const clock = virtualClock({ start: 1_700_000_000_000, seed: (seed += 1) })
  const server = testSyncServer({ clock })
  const device = new Device({ clock, remote: { url: server.url, fetch: server.fetch } })
  let tabs = 0
  /** How often each tab asked the server. */
  const asked: number[] = []
  const tab = (lifecycle: PageLifecycle | undefined = new Page(), more: Partial<SyncParts> = {}) => {
    const index = tabs
    tabs += 1
    asked[index] = 0
    const fetch: typeof globalThis.fetch = (input, init) => {
      asked[index] = (asked[index] ?? 0) + 1
      return server.fetch(input, init)
    }
    const parts = device.tab({ remote: { url: server.url, fetch }, ...more })[syncParts]
    const shell = new SyncShell(parts, { wake: 'poll', owner: `tab-${index}`, lifecycle })
    shell.start(undefined)
    shells.push(shell)
    return shell
  }
  /** Which tabs asked the server since the last call. */
  const active = () => {
    const found = asked.flatMap((count, index) => (count > 0 ? [index] : []))
    asked.fill(0)
    return found
  }
  return { clock, server, device, tab, active }
}

afterEach(async () => {
  await Promise.all(shells.splice(0).map((shell) => shell.stop()))
})

const shown = (shell: SyncShell) => shell.status.getSnapshot()

describe('the page that leads', () => {
  test('N66: hands over when it is hidden and another one is visible', async () => {
    const { clock, device, tab, active } = world()
    const [one, two] = [new Page(), new Page()]
    tab(one)
    await clock.advance(10)
    const second = tab(two)
    await clock.advance(10)
    expect(active()).toEqual([0])
    one.become('hidden')
    await clock.advance(100)
    active()
    await device.append('a')
    await clock.advance(100)
    expect(active()).toEqual([1])
    expect(shown(second)).toMatchObject({ status: 'idle', cursor: 1 })
    // And it stays there, as long as nothing else happens.
    one.become('visible')
    await device.append('a')
    await clock.advance(100)
    expect(active()).toEqual([1])
  })

  test('keeps on while no other one is visible', async () => {
    const { clock, device, tab, active } = world()
    const [one, two] = [new Page(), new Page()]
    tab(one)
    await clock.advance(10)
    two.become('hidden')
    tab(two)
    one.become('hidden')
    await clock.advance(100)
    active()
    await device.append('a')
    await clock.advance(100)
    expect(active()).toEqual([0])
    // A page that comes to the front asks for it.
    two.become('visible')
    await clock.advance(100)
    active()
    await device.append('a')
    await clock.advance(100)
    expect(active()).toEqual([1])
  })

  test('N66: that is frozen holds no lock, and leads again only when it comes back', async () => {
    const { clock, device, tab, active, server } = world()
    const [one, two] = [new Page(), new Page()]
    const first = tab(one)
    await clock.advance(10)
    tab(two)
    await clock.advance(10)
    one.become('away')
    await clock.advance(10)
    active()
    await device.append('a')
    await clock.advance(100)
    expect(active()).toEqual([1])
    one.become('visible')
    await clock.advance(100)
    expect(shown(first)).toMatchObject({ status: 'idle', cursor: 1, pending: 0 })
    two.become('away')
    await device.append('b')
    await clock.advance(100)
    expect((await server.log()).map(({ stream }) => stream)).toEqual(['a', 'b'])
    expect(shown(first)).toMatchObject({ status: 'idle', cursor: 2 })
  })

  test('that is frozen in the middle of a push: what was under way is done by the next one, once', async () => {
    const { clock, device, tab, server } = world()
    server.latency(50)
    const [one, two] = [new Page(), new Page()]
    tab(one)
    await clock.advance(300)
    const second = tab(two)
    await clock.advance(10)
    await device.append(['a', 'b'])
    await clock.advance(60)
    one.become('away')
    await clock.advance(2_000)
    expect(await server.log()).toHaveLength(2)
    expect(shown(second)).toMatchObject({ status: 'idle', pending: 0, cursor: 2 })
    expect(device.ids()).toHaveLength(2)
  })

  test('and finds no lock at all works when no other one is there', async () => {
    const coordinator: Coordinator = {
      tryAcquire: () => Promise.reject(new Error('not here')),
      acquire: () => Promise.reject(new Error('not here')),
    }
    const { clock, device, tab, server, active } = world()
    const one = tab(undefined, { coordinator })
    const two = tab(undefined, { coordinator })
    await device.append('a')
    await clock.advance(30_000)
    expect(await server.log()).toHaveLength(1)
    expect(shown(one)).toMatchObject({ cursor: 1, pending: 0 })
    await clock.advance(600_000)
    active()
    await clock.advance(120_000)
    expect(active()).toEqual([0])
    expect(shown(two)).toEqual(shown(one))
  })

  test('whose lock is taken away works on without a second one', async () => {
    const { clock, device, tab, server, active } = world()
    const stolen = new AbortController()
    const { coordinator } = device.tab()[syncParts]
    let isFirst = true
    const stealing: Coordinator = {
      ...coordinator,
      async tryAcquire(name) {
        const guard = (await coordinator.tryAcquire(name)) as Guard | undefined
        if (guard === undefined || !isFirst) return guard
        isFirst = false
        stolen.signal.addEventListener('abort', () => guard.release(), { once: true })
        return { lost: stolen.signal, release: () => guard.release() }
      },
    }
    const one = tab(undefined, { coordinator: stealing })
    await clock.advance(10)
    stolen.abort()
    await device.append('a')
    await clock.advance(1_000)
    expect(await server.log()).toHaveLength(1)
    expect(shown(one)).toMatchObject({ status: 'idle', cursor: 1 })
    expect(active()).toEqual([0])
  })
})

describe('a leader that does not respond', () => {
  test('is left to its work where there is nothing to do', async () => {
    const { clock, device, tab, active } = world()
    tab()
    await clock.advance(10)
    await device.append('a')
    await clock.advance(1_000)
    await shells.splice(0)[0]?.stop()
    const { coordinator } = device.tab()[syncParts]
    await coordinator.tryAcquire('sync'.padEnd(256))
    tab()
    active()
    await clock.advance(300_000)
    expect(active()).toEqual([])
    // Until there is.
    await device.append('b')
    await clock.advance(20_000)
    expect(active()).toEqual([1])
  })

  test('N66: makes way, and one that works without the lock ends when another one has it', async () => {
    // Which tab loses patience first, and which one is first in the queue for the lock, differs.
    for (let each = 0; each < 6; each += 1) {
      const { clock, device, tab, active, server } = world()
      const { coordinator } = device.tab()[syncParts]
      const guard = await coordinator.tryAcquire('sync'.padEnd(256))
      const [one, two] = [tab(), tab()]
      await device.append('a')
      await clock.advance(60_000)
      expect(await server.log()).toHaveLength(1)
      await clock.advance(600_000)
      active()
      await clock.advance(120_000)
      expect(active()).toHaveLength(1)
      expect(shown(one)).toEqual(shown(two))
      guard?.release()
      await device.append('b')
      await clock.advance(10_000)
      expect(await server.log()).toHaveLength(2)
      active()
      await clock.advance(120_000)
      expect(active()).toHaveLength(1)
    }
  })
})

describe('storage that', () => {
  test('is full: it waits a minute, and loses nothing', async () => {
    const { clock, device, tab, server } = world()
    const change = device.storage.change.bind(device.storage)
    let isFull = true
    device.storage.change = async (...given) => {
      if (isFull) throw new StorageFullError('There is no space.')
      return change(...given)
    }
    await server.append([{ stream: 'a', type: 'A', data: 1 }])
    const shell = tab()
    await clock.advance(10)
    expect(shown(shell)).toMatchObject({ status: 'waiting', reason: 'storage-full', cursor: 0 })
    expect(shown(shell).nextTry).toBeGreaterThan(clock.now() + 59_000)
    isFull = false
    await clock.advance(61_000)
    expect(shown(shell)).toMatchObject({ status: 'idle', cursor: 1 })
  })

  test('is nearly full: pulls stop, own commits are sent', async () => {
    const { clock, device, server } = world()
    let usage = 950
    await server.append([{ stream: 'a', type: 'A', data: 1 }])
    const shell = new SyncShell(device.tab()[syncParts], {
      wake: 'poll',
      owner: 'x',
      lifecycle: undefined,
      usage: async () => ({ usage, quota: 1000 }),
    })
    shells.push(shell)
    usage = 0
    shell.start(undefined)
    await clock.advance(10)
    expect(shown(shell)).toMatchObject({ status: 'idle', cursor: 1 })
    usage = 950
    await device.append('b')
    await clock.advance(10)
    expect(await server.log()).toHaveLength(2)
    expect(shown(shell)).toMatchObject({ status: 'waiting', reason: 'storage-full', cursor: 1 })
    usage = 0
    await clock.advance(61_000)
    expect(shown(shell)).toMatchObject({ status: 'idle', cursor: 2, pending: 0 })
  })

  test('fails: it is tried again', async () => {
    const { clock, device, tab } = world()
    const load = device.storage.load.bind(device.storage)
    let fails = 3
    device.storage.load = async () => {
      if ((fails -= 1) >= 0) throw new StorageFailedError('The disk is away.')
      return load()
    }
    const shell = tab()
    await clock.advance(200_000)
    expect(shown(shell)).toMatchObject({ status: 'idle' })
    fails = 1
    await device.append('a').catch(() => {})
    await clock.advance(200_000)
    await device.append('a')
    await clock.advance(200_000)
    expect(shown(shell)).toMatchObject({ status: 'idle', cursor: 1 })
  })
})
