import { add, app, problem } from '../../shared/todo'

declare const self: ServiceWorkerGlobalScope

self.addEventListener('install', (event) => event.waitUntil(keepPage().then(() => self.skipWaiting())))
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()))

// While you develop, Vite gives out every file by itself.
if (import.meta.env.PROD) {
  self.addEventListener('fetch', (event) => {
    if (event.request.method === 'GET') event.respondWith(fromNetwork(event.request))
  })
}

/** A to-do that a server sends, also while no page is open. */
self.addEventListener('push', (event) => event.waitUntil(arrived(event.data?.text())))

/** The browser woke the worker, because the device is online again: see main.ts. */
self.addEventListener('sync', (event) => (event as ExtendableEvent).waitUntil(catchUp()))

async function arrived(title = 'Something new') {
  await add(title)
  const reason = problem.getSnapshot()
  if (reason !== undefined) throw new Error(reason)
  await catchUp()
}

/** A service worker does not run models by itself, as the browser ends it at any time. So do it while an event lasts. */
async function catchUp() {
  await app.catchUp({ budget: { maxTime: 20_000 } })
}

/** The page and the files that it names, so that it opens without a network. */
async function keepPage() {
  const { scope } = self.registration
  const page = await fetch(scope, { cache: 'no-cache' })
  const html = await page.clone().text()
  const files = [...html.matchAll(/(?:src|href)="([^":]+)"/g)].map(([, file = '']) => new URL(file, scope).href)
  const kept = await caches.open('page')
  await kept.addAll(files)
  await kept.put(scope, page)
}

async function fromNetwork(request: Request): Promise<Response> {
  const kept = await caches.open('page')
  try {
    const response = await fetch(request)
    if (response.ok) await kept.put(request, response.clone())
    return response
  } catch (error) {
    // Many servers say `Vary: Origin`, and a page asks for its scripts with another one than the worker did.
    const known = await kept.match(request, { ignoreVary: true })
    if (known === undefined) throw error
    return known
  }
}
