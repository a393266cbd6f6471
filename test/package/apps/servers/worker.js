// Within a Durable Object per log, as workerd and Cloudflare keep one place for all requests to a log.
import { handler } from './logs.js'

export class Log {
  async fetch(request) {
    const response = await handler(request)
    // workerd ends the connection if a body was not read, and the client does not get its 413.
    if (request.body !== null && !request.bodyUsed) await request.body.pipeTo(new WritableStream())
    return response
  }
}

export default {
  fetch(request, { LOG }) {
    return LOG.get(LOG.idFromName(new URL(request.url).pathname.split('/')[2])).fetch(request)
  },
}
