import * as tidemark from 'tidemark'
import { ask, run } from './rpc.js'

/** A realm of the harness. Workers are made at first use; equal names are the same worker. */
export type Realm = 'page' | 'dedicated' | 'shared' | 'service' | `dedicated:${string}` | `shared:${string}`

export interface Harness {
  /** Runs the source of a function `(tidemark, arg, state) => …` in a realm. */
  run(realm: Realm, source: string, arg: unknown): Promise<unknown>
  /** Calls a method of a worker's rpc: `ping`, `exports`. */
  call(realm: Exclude<Realm, 'page'>, method: string, ...args: unknown[]): Promise<unknown>
  /** Ends a dedicated worker at once. */
  terminate(realm: Realm): void
}

declare global {
  interface Window {
    tidemark: typeof tidemark
    harness: Harness
  }
}

type Target = Parameters<typeof ask>[0]

const dedicated = new Map<string, Worker>()
const targets = new Map<Realm, Promise<Target>>()

/** Of this page. */
export const harness: Harness = {
  run: async (realm, source, arg) =>
    realm === 'page' ? run(source, arg) : ask(await target(realm), 'run', [source, arg]),
  call: async (realm, method, ...args) => ask(await target(realm), method, args),
  terminate(realm) {
    dedicated.get(realm)?.terminate()
    dedicated.delete(realm)
    targets.delete(realm)
  },
}
window.tidemark = tidemark
window.harness = harness
document.documentElement.dataset['harness'] = 'ready'

/** For pages that no test can reach yet, because they are being prerendered. */
const atOnce = new URL(location.href).searchParams.get('run')
if (atOnce !== null) void run(atOnce, undefined)

function target(realm: Realm): Promise<Target> {
  const known = targets.get(realm)
  if (known) return known
  const made = start(realm)
  // The browser may replace a service worker, so it is looked up each time.
  if (realm !== 'service') targets.set(realm, made)
  return made
}

async function start(realm: Realm): Promise<Target> {
  if (realm === 'service') return serviceWorker()
  if (realm.startsWith('shared')) {
    const shared = new SharedWorker('/shared-worker.js', { type: 'module', name: realm })
    reportLoadFailure(shared, realm)
    shared.port.start()
    return shared.port
  }
  const worker = new Worker('/dedicated-worker.js', { type: 'module', name: realm })
  reportLoadFailure(worker, realm)
  dedicated.set(realm, worker)
  return worker
}

async function serviceWorker(): Promise<Target> {
  const registration = await navigator.serviceWorker.register('/service-worker.js', { type: 'module', scope: '/' })
  const active = registration.active ?? (await navigator.serviceWorker.ready).active
  if (!active) throw new Error('The service worker is not active')
  return active
}

/** A worker that cannot be loaded answers nothing; the event has no message then. */
function reportLoadFailure(worker: EventTarget, realm: Realm): void {
  worker.addEventListener('error', (event) => {
    if (!(event instanceof ErrorEvent)) reportError(new Error(`The ${realm} worker did not load`))
  })
}
