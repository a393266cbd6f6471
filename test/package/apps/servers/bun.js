import { handler } from './logs.js'

// No limit of time: a wake-up stream may rest.
const server = Bun.serve({ fetch: handler, port: 0, hostname: '127.0.0.1', idleTimeout: 0 })
console.log(`http://127.0.0.1:${server.port}`)
