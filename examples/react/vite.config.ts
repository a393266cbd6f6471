import { defineConfig } from 'vite'
import react from '@vitejs/plugin-react'

export default defineConfig({
  // For ../shared, which has no packages of its own.
  resolve: { dedupe: ['tidemark'] },
  plugins: [react()],
  build: { target: 'es2022' },
})
