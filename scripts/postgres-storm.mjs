// node scripts/postgres-storm.mjs <postgres url> [seconds] [writers] [followers]
// Writers and followers of one log for minutes: no follower may pass an event or read another order. Then the same with a
// column that PostgreSQL counts by itself, which has to show that this is able to fail.
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { createServer } from 'vite'
import { readAs } from './builds.mjs'

const [url, seconds = '120', writers = '8', followers = '2'] = process.argv.slice(2)
if (url === undefined) throw new Error('Give the URL of a server of PostgreSQL.')

const root = fileURLToPath(new URL('..', import.meta.url))
const loader = await createServer({
  configFile: false,
  root,
  plugins: [readAs('production')],
  resolve: {
    alias: [
      { find: /^tidemark$/, replacement: `${root}src/index.ts` },
      { find: /^tidemark\/postgres$/, replacement: `${root}src/postgres/index.ts` },
    ],
  },
  optimizeDeps: { noDiscovery: true },
  server: { middlewareMode: true, hmr: false, watch: null, ws: false },
  appType: 'custom',
  logLevel: 'error',
})
const { stormOnTidemark, stormOnIdentity } = await loader.ssrLoadModule('/test/support/postgres/storm.ts')
const storm = { url, writers: Number(writers), followers: Number(followers) }

const log = await stormOnTidemark({ ...storm, ms: Number(seconds) * 1000 })
console.log(`tidemark, ${seconds} s: ${JSON.stringify(log)}`)
const identity = await stormOnIdentity({ ...storm, ms: Math.min(6, Number(seconds)) * 1000 })
console.log(`an identity column, ${Math.min(6, Number(seconds))} s: ${JSON.stringify(identity)}`)
await loader.close()
const isSound =
  log.missed === 0 && log.disordered === 0 && log.read === log.stored * storm.followers && identity.missed > 0
console.log(isSound ? 'as it should be' : 'NOT AS IT SHOULD BE')
process.exitCode = isSound ? 0 : 1
