import { reportErrors } from './report-errors.js'
import { serve } from './rpc.js'

/** The part of `ServiceWorkerGlobalScope` used here: its types do not go together with those of a page. */
const worker = self as unknown as EventTarget & { skipWaiting(): Promise<void>; clients: { claim(): Promise<void> } }

reportErrors('service worker')
worker.addEventListener('install', () => void worker.skipWaiting())
worker.addEventListener('activate', (event) => (event as ExtendableEvent).waitUntil(worker.clients.claim()))
serve(self)

interface ExtendableEvent extends Event {
  waitUntil(promise: Promise<unknown>): void
}
