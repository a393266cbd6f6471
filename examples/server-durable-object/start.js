// Starts workerd with `config.capnp`, and says where once it listens. `npm start`, or with another port `PORT=8788 npm start`
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'

const { PORT = '8787' } = process.env
const { default: workerd } = createRequire(import.meta.url)('workerd')

const args = ['serve', 'config.capnp', `--socket-addr=http=127.0.0.1:${PORT}`, '--control-fd=3']
const child = spawn(workerd, args, { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] })

// A line for each socket that listens.
let heard = ''
child.stdio[3].setEncoding('utf8').on('data', (text) => {
  heard += text
  for (let end = heard.indexOf('\n'); end >= 0; end = heard.indexOf('\n')) {
    const { event, port } = JSON.parse(heard.slice(0, end))
    heard = heard.slice(end + 1)
    if (event === 'listen') console.log(`Logs are served at http://127.0.0.1:${port}/logs/<household>`)
  }
})

// Not SIGTERM, at which workerd waits for sockets that are open. What devices have been told is on the disk already.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill('SIGINT'))
child.once('exit', (code) => {
  // workerd says why.
  if (code) console.error('The server does not run. If its port is taken, choose another one: PORT=8788 npm start')
  process.exitCode = code ?? 0
})
