import { defineConfig } from 'vite'
import vue from '@vitejs/plugin-vue'

export default defineConfig({
  // For ../shared, which has no packages of its own.
  resolve: { dedupe: ['tidemark'] },
  plugins: [vue()],
  build: { target: 'es2022' },
})
