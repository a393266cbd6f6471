// Logs in files of a folder, at a port that stays: `node node-file.js FOLDER PORT`.
import { createServer } from 'node:http'
import { join } from 'node:path'
import { nodeListener, openFileLogStore } from 'tidemark/file'
import { serverLog } from 'tidemark/server'
import { handlerOf } from './logs.js'

const [folder, port] = process.argv.slice(2)
const logs = new Map()
const find = (name) => {
  const log = logs.get(name) ?? openFileLogStore({ path: join(folder, `${name}.log`) }).then(serverLog)
  logs.set(name, log)
  return log
}
const server = createServer(nodeListener(handlerOf(find)))
server.listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
