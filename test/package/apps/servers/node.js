import { createServer } from 'node:http'
import { nodeListener } from 'tidemark/file'
import { handler } from './logs.js'

const server = createServer(nodeListener(handler))
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
