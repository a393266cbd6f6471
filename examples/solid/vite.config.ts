import { defineConfig } from 'vite'
import solid from 'vite-plugin-solid'

export default defineConfig({
  // For ../shared, which has no packages of its own.
  resolve: { dedupe: ['tidemark'] },
  plugins: [solid()],
  build: { target: 'es2022' },
})
