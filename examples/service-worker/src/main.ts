import '../../vanilla/src/main'

const base = import.meta.env.BASE_URL
await navigator.serviceWorker.register(base + (import.meta.env.DEV ? 'src/worker.ts' : 'worker.js'), {
  type: 'module',
  scope: base,
})

// Chromium only: when the device is online again, it starts the worker with a `sync` event, also if no page is open.
const { sync } = (await navigator.serviceWorker.ready) as { sync?: { register(tag: string): Promise<void> } }
await sync?.register('catch-up').catch((error: unknown) => console.info('No background sync here.', error))
