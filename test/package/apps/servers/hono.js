import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { handler } from './logs.js'

const app = new Hono()
app.get('/', (context) => context.text('an app of its own'))
app.all('/logs/*', (context) => handler(context.req.raw))
const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
  console.log(`http://127.0.0.1:${port}`),
)
server.on('error', (error) => console.error(error))
