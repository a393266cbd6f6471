// A sync server over a file: `node sync-server.mjs <file> [port]` prints its port. Ends with its process, however that ends.
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createServer as createLoader } from 'vite'
import { readAs } from '../../scripts/builds.mjs'

const [path, port = '0'] = process.argv.slice(2)
const loader = await createLoader({
  configFile: false,
  root: fileURLToPath(new URL('../..', import.meta.url)),
  logLevel: 'error',
  appType: 'custom',
  plugins: [readAs('development')],
  optimizeDeps: { noDiscovery: true },
  server: { middlewareMode: true, hmr: false, watch: null, ws: false },
})
const { serverLog, syncHandler } = await loader.ssrLoadModule('/src/server/index.ts')
const { nodeListener, openFileLogStore } = await loader.ssrLoadModule('/src/file/index.ts')
const log = serverLog(await openFileLogStore({ path }))
const handler = syncHandler({ open: () => ({ log }), origins: '*' })
const server = createServer(nodeListener(handler))
server.listen(Number(port), '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))
