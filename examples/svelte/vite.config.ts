import { defineConfig } from 'vite'
import { svelte } from '@sveltejs/vite-plugin-svelte'

export default defineConfig({
  // For ../shared, which has no packages of its own.
  resolve: { dedupe: ['tidemark'] },
  plugins: [svelte()],
  build: { target: 'es2022' },
})
