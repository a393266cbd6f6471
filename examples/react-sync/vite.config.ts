import { defineConfig } from 'vite'
import react from '@vitejs/plugin-react'
import { syncServer } from '../shared/sync-server'

/** Another server, such as that of ../server-durable-object: `SERVER=http://127.0.0.1:8787 npm run dev`. */
const { SERVER } = process.env

const own = () => syncServer(() => Promise.all([import('tidemark/server'), import('tidemark/file')]))

export default defineConfig({
  // For ../shared, which has no packages of its own.
  resolve: { dedupe: ['tidemark'] },
  plugins: [react(), SERVER === undefined && own()],
  server: { proxy: SERVER === undefined ? {} : { '/logs': { target: SERVER, ws: true } } },
  build: { target: 'es2022' },
})
