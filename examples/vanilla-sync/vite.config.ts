import { defineConfig } from 'vite'
import { syncServer } from '../shared/sync-server'

export default defineConfig({
  // For ../shared, which has no packages of its own.
  resolve: { dedupe: ['tidemark'] },
  plugins: [syncServer(() => Promise.all([import('tidemark/server'), import('tidemark/file')]))],
  build: { target: 'es2022' },
})
