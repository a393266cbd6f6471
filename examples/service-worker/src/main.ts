import '../../vanilla/src/main'

const base = import.meta.env.BASE_URL
await navigator.serviceWorker.register(base + (import.meta.env.DEV ? 'src/worker.ts' : 'worker.js'), {
  type: 'module',
  scope: base,
})
