import { defineConfig } from 'vite'

export default defineConfig({
  // For ../shared, which has no packages of its own.
  resolve: { dedupe: ['tidemark'] },
  build: { target: 'es2022' },
})
