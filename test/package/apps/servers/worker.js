// Within a Durable Object per log, as workerd and Cloudflare keep one place for all requests to a log.
import { handler } from './logs.js'

export class Log {
  fetch(request) {
    return handler(request)
  }
}

export default {
  fetch(request, { LOG }) {
    return LOG.get(LOG.idFromName(new URL(request.url).pathname.split('/')[2])).fetch(request)
  },
}
