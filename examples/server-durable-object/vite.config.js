import { defineConfig } from 'vite'

/** One file for workerd. `wrangler deploy` makes its own. */
export default defineConfig({
  build: {
    target: 'es2022',
    lib: { entry: 'src/worker.js', formats: ['es'], fileName: () => 'worker.mjs' },
    rolldownOptions: { external: [/^cloudflare:/] },
  },
})
