/**
 * What runs in pages and workers. Every function here is sent as source to the harness, which calls it with the package, its
 * argument, and a `state` that stays between calls; so none of them may refer to anything outside itself.
 */
import type { Tidemark } from '../e2e/harness/rpc.js'
import type { SyncAct } from './sync-plan.js'

type State = Record<string, any>

export interface SyncEntering {
  readonly round: string
  readonly device: string
  readonly tab: string
  /** Of its databases; that of a copied device is another one. */
  readonly store: string
  /** The log, through the proxy of the device. */
  readonly url: string
  readonly author: string
  readonly receiver: string
  readonly clockBy: number
  readonly isOld: boolean
}

/** Makes what a tab works with. A service worker calls it too, and opens no app. */
export async function define(tidemark: Tidemark, entering: SyncEntering, state: State): Promise<void> {
  const { round, device, tab, store: name, receiver, clockBy, url, author, isOld } = entering
  let telling: Promise<unknown> = Promise.resolve()
  let waiting: object[] = []
  const tell = (message: object) => {
    waiting.push({ round, device, tab, ...message })
    // One request after another, so that they arrive in order; what comes while one is under way goes together.
    if (waiting.length === 1)
      telling = telling.then(() => {
        const body = JSON.stringify(waiting)
        waiting = []
        const send = () => fetch(receiver, { method: 'POST', mode: 'no-cors', body })
        return send().catch(() => send().catch(() => {}))
      })
  }
  const uncaught = (what: string, error: any) =>
    state['tell']?.({ kind: 'contradiction', rule: 'errors', detail: `${what}: ${error?.stack ?? String(error)}` })
  if (state['listening'] !== true) {
    state['listening'] = true
    addEventListener('error', (event) => uncaught('uncaught error', event.error ?? event.message))
    addEventListener('unhandledrejection', (event) => uncaught('unhandled rejection', event.reason))
  }
  const catalogue = tidemark.defineEvents({ Counted: {}, Bumped: {}, Taken: {}, Refused: {} }) as any
  const make: any = tidemark.defineCommand
  const functions = {
    bump: (stream: string, token: string) =>
      make(catalogue, {
        streams: [stream],
        initial: 0,
        evolve: (bumped: number, event: any) => (event.type === 'Bumped' ? bumped + 1 : bumped),
        decide: (bumped: number) => [{ stream, type: 'Bumped', data: { token, of: 1, index: 0, n: bumped + 1 } }],
      }),
    take: (stream: string, token: string, limit: number) =>
      make(catalogue, {
        streams: [stream],
        initial: 0,
        evolve: (taken: number, event: any) => (event.type === 'Taken' ? taken + 1 : taken),
        decide: (taken: number) =>
          taken >= limit
            ? tidemark.refuse('full')
            : [{ stream, type: 'Taken', data: { token, of: 1, index: 0, n: taken + 1, limit } }],
      }),
  }
  const { take: _, ...oldOnes } = functions
  const commands = tidemark.sync.defineCommands((isOld ? oldOnes : functions) as any) as any
  const apply = async ({ id, stream, data }: any, { tokens, streams }: any) => {
    await tokens.update(data.token, (row: any) => ({
      token: data.token,
      times: (row?.times ?? 0) + (data.index === 0 ? 1 : 0),
      events: (row?.events ?? 0) + 1,
    }))
    await streams.update(stream, (row: any) => {
      let hash = row?.hash ?? 0
      for (let index = 0; index < id.length; index += 1) hash = (Math.imul(hash, 31) + id.charCodeAt(index)) | 0
      return { stream, count: (row?.count ?? 0) + 1, hash }
    })
  }
  const definition = tidemark.defineProjection(catalogue, {
    name: 'seen',
    tables: {
      tokens: tidemark.table<{ token: string; times: number; events: number }>({ key: 'token' }),
      streams: tidemark.table<{ stream: string; count: number; hash: number }>({ key: 'stream' }),
    },
    on: { Counted: apply, Bumped: apply, Taken: apply, Refused: apply },
  } as any)
  // Only the wall clock is wrong, as on a device.
  const clock = {
    now: () => Date.now() + clockBy,
    monotonic: () => performance.now(),
    // So that it soon tries again what failed.
    random: () => Math.random() * 0.3,
    schedule: (ms: number, callback: () => void) => {
      const timer = setTimeout(callback, ms)
      return () => clearTimeout(timer)
    },
  }
  const headers = () => ({ 'X-User': author })
  state['tell'] = tell
  Object.assign(state, {
    told: () => telling,
    tab,
    catalogue,
    commands,
    definition,
    stopping: false,
    enough: false,
    acting: undefined,
    // By token: the id of the commit. What the app gave up itself is not in it.
    own: new Map<string, string>(),
    errors: [],
    storeOptions: { name, events: catalogue, url, headers, commands, clock },
    appOptions: {
      name,
      events: catalogue,
      models: { seen: definition },
      sync: { url, headers, commands },
      clock,
      onError: (error: any) => state['errors'].push(error?.stack ?? String(error)),
    },
  })
}

/** Opens the app, and looks at its view until it is told to stop: each own commit is there once. */
export async function open(tidemark: Tidemark, _arg: undefined, state: State): Promise<void> {
  const app = (state['app'] = tidemark.sync.tidemark(state['appOptions']) as any)
  await app.ready()
  const { tell, own } = state
  const contradict = (detail: string) => tell({ kind: 'contradiction', rule: 'shown once', detail })
  // Nothing that happens to it here is a reason to give up.
  app.sync.status.subscribe(() => {
    const { status, reason, message } = app.sync.status.getSnapshot()
    if (status === 'stopped' && !state['stopping'])
      tell({ kind: 'contradiction', rule: 'stopped', detail: `sync stopped: ${reason} ${message}` })
  })
  const told = new Set<string>()
  const look = async () => {
    const known: string[] = [...own.keys()]
    const rows = await app.seen.tokens.getAll()
    const times = new Map<string, any>(rows.map((row: any) => [row.token, row.times]))
    for (const row of rows) {
      if (row.times === 1 || told.has(row.token)) continue
      told.add(row.token)
      contradict(`${row.token} is shown ${row.times} times`)
    }
    for (const token of known) {
      if (times.has(token) || !own.has(token)) continue
      const id = own.get(token)
      const commit = await app.sync.ownCommit(id)
      if (!own.has(token)) continue
      const status = commit?.status ?? 'unknown'
      if (status === 'refused' || status === 'unknown' || status === 'discarded') {
        // It was shown until then, and is not followed any more: a restored server may have it after all.
        own.delete(token)
        continue
      }
      if (commit.unshown !== undefined) contradict(`${token} is not shown: ${commit.unshown?.stack ?? commit.unshown}`)
      const again = await app.seen.tokens.get(token)
      contradict(`${token} is ${status} and was not shown${again ? '; a moment later it was' : ', nor a moment later'}`)
      own.delete(token)
    }
    state['looks'] += 1
    if (state['looks'] % 3 === 0) tell({ kind: 'looked', times: 3 })
  }
  state['look'] = look
  state['looks'] = 0
  state['looking'] = (async () => {
    while (!state['stopping']) {
      const began = performance.now()
      try {
        await look()
      } catch (error: any) {
        if (!state['stopping']) contradict(`looking failed: ${error?.code} ${error?.stack ?? error}`)
        return
      }
      // On a busy machine it is not the looking that makes it busy.
      const pause = 40 + Math.random() * 120 + 6 * (performance.now() - began)
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
  })()
}

export interface SyncActing {
  readonly device: string
  readonly acts: readonly SyncAct[]
}

/** Does one thing after another, and tells of each. Returns at once. */
export function act(_tidemark: Tidemark, { acts }: SyncActing, state: State): void {
  const { app, tell, catalogue, commands, own, tab } = state
  const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
  const counted = (token: string, of: number, from: number, to: number, type = 'Counted') =>
    Array.from({ length: to - from }, (_, index) => catalogue[type]({ token, of, index: from + index }))
  const tokenOf = (commit: any): string => commit.events[0]?.data?.token ?? ''
  const follow = (token: string, commit: any) => {
    void commit.settled().then(
      ({ status }: any) => tell({ kind: 'settled', token, status }),
      () => {},
    )
  }
  const lastVersion = async (stream: string) => {
    for await (const { version } of app.readStream(stream, { direction: 'backwards' })) return version
    return 0
  }
  const attempt = async (token: string, of: number, kind: string, append: () => Promise<any>) => {
    tell({ kind: 'announced', token, act: kind, of })
    // A tab that is killed has told of it before it did it.
    await state['told']()
    try {
      const result = await append()
      if (result.type === 'refused') return tell({ kind: 'declined', token })
      if (result.commit !== undefined) {
        own.set(token, result.commit.id)
        follow(token, result.commit)
      }
      tell({ kind: 'acknowledged', token, id: result.commit?.id })
    } catch (error: any) {
      if (state['stopping']) return
      tell({ kind: 'rejected', token, code: error?.code ?? String(error), outcome: error?.outcome ?? 'unknown' })
    }
  }
  const mine = async (wanted: (status: string) => boolean) =>
    (await app.sync.outbox()).filter((each: any) => tokenOf(each).startsWith(`${tab}-`) && wanted(each.status))
  const doAct = async ({ kind, stream, other, count, pick, visible }: SyncAct, token: string) => {
    const until = visible ? { until: 'visible' } : {}
    switch (kind) {
      case 'plain':
        return attempt(token, count, kind, () => app.append(stream, counted(token, count, 0, count), until))
      case 'again': {
        const events = counted(token, count, 0, count)
        return attempt(token, count, kind, async () => {
          const first = await app.append(stream, events)
          // The server may have said no in between.
          await app.append(stream, events).catch((error: any) => {
            if (error?.code !== 'sync-refused') throw error
          })
          return first
        })
      }
      case 'two streams': {
        const writes = [
          { stream, events: counted(token, count + 1, 0, count) },
          { stream: `${other}-beside`, events: counted(token, count + 1, count, count + 1) },
        ]
        return attempt(token, count + 1, kind, () => app.append(writes, until))
      }
      case 'expected': {
        const expectedVersion = await lastVersion(stream)
        return attempt(token, count, kind, () =>
          app.append(stream, counted(token, count, 0, count), { expectedVersion, ...until }),
        )
      }
      case 'condition': {
        const condition = { failIfEventsMatch: { types: ['Taken'], streamPrefix: 'shared-' }, after: await app.head() }
        return attempt(token, 1, kind, () =>
          app.append([{ stream, events: counted(token, 1, 0, 1) }], { condition, ...until }),
        )
      }
      case 'bump':
        return attempt(token, 1, kind, () => app.execute(commands.bump(stream, token), until))
      case 'take': {
        const command = commands.take?.(stream, token, 6) ?? commands.bump(stream, token)
        return attempt(token, 1, kind, () => app.execute(command, until))
      }
      case 'by rule':
        return attempt(token, 1, kind, () => app.append(stream, counted(token, 1, 0, 1, 'Refused')))
      case 'now':
        return void app.sync.now().catch(() => {})
      case 'discard': {
        const all = await mine((status) => status !== 'discarded')
        const chosen = all[pick % Math.max(1, all.length)]
        if (chosen === undefined) return
        own.delete(tokenOf(chosen))
        tell({ kind: 'discarding', token: tokenOf(chosen) })
        await state['told']()
        await chosen.discard()
        return follow(tokenOf(chosen), chosen)
      }
      case 'retry': {
        const all = await mine((status) => status === 'refused')
        const chosen = all[pick % Math.max(1, all.length)]
        if (chosen === undefined) return
        own.delete(tokenOf(chosen))
        tell({ kind: 'retrying', token: tokenOf(chosen) })
        await state['told']()
        return void (await chosen.retry())
      }
    }
  }
  state['acting'] = (async () => {
    for (const [index, each] of acts.entries()) {
      await wait(each.pause)
      if (state['stopping'] || state['enough']) break
      try {
        await doAct(each, `${tab}-${index}`)
      } catch (error: any) {
        if (!state['stopping'])
          tell({
            kind: 'contradiction',
            rule: 'errors',
            detail: `${each.kind}: ${error?.code} ${error?.stack ?? error}`,
          })
      }
    }
  })()
}

/** Nothing new is begun, and what was begun has ended and was told of when it resolves. */
export async function halt(_tidemark: Tidemark, _arg: undefined, state: State): Promise<void> {
  state['enough'] = true
  await state['acting']
  await state['told']()
}

/** In a service worker: a store of its own, one round, and it is closed again. */
export async function turn(tidemark: Tidemark, maxTime: number, state: State): Promise<string> {
  const store = await tidemark.sync.openSyncedStore(state['storeOptions'])
  try {
    const { status } = await tidemark.sync.syncOnce(store, { budget: { maxTime } })
    return status
  } finally {
    await store.close()
  }
}

export interface Drained {
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly pending: number
  readonly behind: number
  readonly cursor: number
  readonly head: number
}

/** Until this device has sent what it can; a store that was paused goes on. */
export async function drain(_tidemark: Tidemark, _arg: undefined, { app }: State): Promise<Drained> {
  const end = performance.now() + 10_000
  for (;;) {
    if (app.sync.status.getSnapshot().status === 'paused') await app.sync.resume()
    const { status, reason, message, pending, behind, cursor, head } = await app.sync.now({
      signal: AbortSignal.timeout(15_000),
    })
    if (pending === behind || performance.now() > end) return { status, reason, message, pending, behind, cursor, head }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

export interface SyncEvidence {
  readonly log: readonly WireFact[]
  readonly outbox: readonly {
    readonly token: string
    readonly status: string
    readonly behind?: string
    readonly refusal?: string
    readonly ids: readonly string[]
  }[]
  readonly tokens: readonly { readonly token: string; readonly times: number; readonly events: number }[]
  readonly streams: readonly { readonly stream: string; readonly count: number; readonly hash: number }[]
  readonly caughtUp: string
  readonly errors: readonly string[]
}

/** An event of a log, of a device or of the server. */
export interface WireFact {
  readonly position: number
  readonly stream: string
  readonly version: number
  readonly type: string
  readonly id: string
  readonly time: number
  readonly data: any
}

/** Everything that a device knows in the end. */
export async function collect(_tidemark: Tidemark, _arg: undefined, state: State): Promise<SyncEvidence> {
  const { app, errors, look } = state
  const caughtUp = await app.seen.caughtUp(await app.head(), { timeout: 20_000 }).then(
    () => 'caught-up',
    (error: any) => `${error?.code} ${error}`,
  )
  await look()
  const log: WireFact[] = []
  for await (const { position, stream, version, type, id, time, data } of app.read())
    log.push({ position, stream, version, type, id, time: Number(time), data })
  const outbox = (await app.sync.outbox()).map((commit: any) => ({
    token: commit.events[0]?.data?.token ?? '',
    status: commit.status,
    behind: commit.behind,
    refusal: commit.refusal && `${commit.refusal.code}: ${commit.refusal.message}`,
    ids: commit.events.map(({ id }: any) => id),
  }))
  const tokens = (await app.seen.tokens.getAll()).map((row: any) => ({ ...row }))
  const streams = (await app.seen.streams.getAll()).map((row: any) => ({ ...row }))
  return { log, outbox, tokens, streams, caughtUp, errors }
}

/** Ends the tab's part in the round. What was told has reached the driver. */
export async function stop(_tidemark: Tidemark, _arg: undefined, state: State): Promise<readonly string[]> {
  state['stopping'] = true
  await state['looking']
  await state['app']?.close()
  await state['told']?.()
  state['app'] = undefined
  return state['errors'] ?? []
}

/**
 * Copies the databases of a device under other names, as a profile is copied to another machine: its log and outbox in one
 * transaction, after the rows, which are behind it then. Returns the tokens of commits that wait for the server.
 */
export async function copy(
  _tidemark: Tidemark,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<readonly string[]> {
  const settled = (request: any) =>
    new Promise<any>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
  const all = (await indexedDB.databases()).map(({ name }) => name ?? '')
  const models = all.filter((name) => name.startsWith(`${from}:`))
  let waiting: string[] = []
  for (const name of [...models, from]) {
    const database = await settled(indexedDB.open(name))
    const transaction = database.transaction([...database.objectStoreNames])
    const stores = await Promise.all(
      [...database.objectStoreNames].map(async (store) => {
        const source = transaction.objectStore(store)
        const [rows, keys] = await Promise.all([settled(source.getAll()), settled(source.getAllKeys())])
        const indexes = [...source.indexNames].map((index) => source.index(index))
        return { store, rows, keys, keyPath: source.keyPath, indexes }
      }),
    )
    if (name === from)
      waiting = (stores.find(({ store }) => store === 'outbox')?.rows ?? []).map(
        (row: any) => /"token":"([^"]*)"/.exec(row.events[0]?.data ?? '')?.[1] ?? '',
      )
    const request = indexedDB.open(to + name.slice(from.length), database.version)
    request.onupgradeneeded = () => {
      for (const { store, rows, keys, keyPath, indexes } of stores) {
        const into = request.result.createObjectStore(store, { keyPath })
        for (const { name: index, keyPath: path, multiEntry, unique } of indexes)
          into.createIndex(index, path, { multiEntry, unique })
        for (const [at, row] of rows.entries()) into.put(row, keyPath === null ? keys[at] : undefined)
      }
    }
    ;(await settled(request)).close()
    database.close()
  }
  return waiting
}

/** Deletes every database of a device, as a browser does that clears the data of a site. */
export async function clear(_tidemark: Tidemark, log: string): Promise<number> {
  const names = (await indexedDB.databases())
    .map(({ name }) => name ?? '')
    .filter((name) => name === log || name.startsWith(`${log}:`))
  for (const name of names)
    await new Promise<void>((resolve, reject) => {
      const request = indexedDB.deleteDatabase(name)
      request.onsuccess = () => resolve()
      request.onerror = () => reject(request.error)
    })
  return names.length
}
