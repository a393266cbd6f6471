import { reportErrors } from './report-errors.js'
import { serve } from './rpc.js'

reportErrors('shared worker')
addEventListener('connect', (event) => {
  const [port] = (event as MessageEvent).ports
  if (!port) return
  serve(port)
  port.start()
})
