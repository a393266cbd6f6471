import { defineConfig } from 'vite'

export default defineConfig({
  // For ../shared, which has no packages of its own.
  resolve: { dedupe: ['tidemark'] },
  // In development the worker is /src/worker.ts, and yet controls the whole site.
  server: { headers: { 'Service-Worker-Allowed': '/' } },
  build: {
    target: 'es2022',
    rollupOptions: {
      input: ['index.html', 'src/worker.ts'],
      // Under one name and at the top: a service worker controls what is below it.
      output: { entryFileNames: ({ name }) => (name === 'worker' ? 'worker.js' : 'assets/[name]-[hash].js') },
    },
  },
})
