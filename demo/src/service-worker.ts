/** Keeps the built page for use without a network, and projects when a page asks for it. */
import { AlreadyRunningError, runProjection } from 'tidemark'
import { defineBoard, openStore, type ProjectAnswer, type ProjectRequest } from './flights.js'

// The page's and the worker's type libraries exclude each other; these are the few names used here.
interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request
  respondWith(response: Promise<Response>): void
}
interface WorkerMessageEvent extends ExtendableEvent {
  readonly data: unknown
  readonly ports: readonly MessagePort[]
}
interface Worker {
  readonly location: Location
  readonly clients: { claim(): Promise<void> }
  skipWaiting(): Promise<void>
  addEventListener(type: 'install' | 'activate', listener: (event: ExtendableEvent) => void): void
  addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void
  addEventListener(type: 'message', listener: (event: WorkerMessageEvent) => void): void
}
const worker = globalThis as unknown as Worker

const prefix = 'flight-desk-'
const cacheName = prefix + __SHELL__.revision

worker.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(cacheName)
      await cache.addAll(__SHELL__.files.map((file) => new Request(file, { cache: 'no-cache' })))
      await worker.skipWaiting()
    })(),
  )
})

worker.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith(prefix) && name !== cacheName) await caches.delete(name)
      }
      await worker.clients.claim()
    })(),
  )
})

worker.addEventListener('fetch', (event) => {
  const { request } = event
  const url = new URL(request.url)
  if (request.method !== 'GET' || url.origin !== worker.location.origin) return
  // The sync server's: never kept.
  if (/^\/boards(\/|$)/.test(url.pathname)) return
  event.respondWith(
    (async () => {
      const cache = await caches.open(cacheName)
      const kept = (path: string) => cache.match(path)
      return (await kept(url.pathname)) ?? (request.mode === 'navigate' ? await kept('/') : undefined) ?? fetch(request)
    })(),
  )
})

worker.addEventListener('message', (event) => {
  const request = event.data as ProjectRequest
  const [port] = event.ports
  if (request?.type !== 'project' || port === undefined) return
  event.waitUntil(project(request).then((answer) => port.postMessage(answer)))
})

/** One run of two seconds at most: browsers end a worker that keeps going. */
async function project({ version, ...handling }: ProjectRequest): Promise<ProjectAnswer> {
  const started = performance.now()
  try {
    const store = await openStore()
    try {
      const result = await runProjection(
        store,
        defineBoard(version, () => handling),
        {
          budget: { maxTime: 2000 },
          signal: AbortSignal.timeout(10_000),
        },
      )
      const took = `${Math.round(performance.now() - started).toLocaleString('en')} ms`
      const did = `${result.applied.toLocaleString('en')} ${result.applied === 1 ? 'event' : 'events'}`
      const parked = result.parked > 0 ? ` and set ${result.parked} aside` : ''
      const end =
        result.reason === 'budget' ? 'The two seconds were up; ask again for the rest.' : 'Nothing is left to do.'
      return { ok: true, text: `The service worker projected ${did}${parked} in ${took}. ${end}` }
    } finally {
      await store.close()
    }
  } catch (error) {
    if (error instanceof AlreadyRunningError) {
      return {
        ok: false,
        text: 'The service worker did nothing: a tab leads this projection, and only one may. Stop it in every tab, then ask again.',
      }
    }
    return { ok: false, text: `The service worker failed: ${error instanceof Error ? error.message : String(error)}` }
  }
}
