import { memoryLogStore, serverLog, syncHandler } from 'tidemark/server'
import { expect, test } from 'vitest'

test('what is pushed is pulled', async () => {
  const handler = syncHandler({ open: () => ({ log: serverLog(memoryLogStore()), author: 'anna' }) })
  const store = memoryLogStore()
  const log = serverLog(store)
  const serve = syncHandler({ open: () => ({ log, author: 'anna' }), accept: () => undefined })
  const ask = (path: string, init: RequestInit = {}) =>
    serve(
      new Request(`http://localhost/logs/a/${path}`, { ...init, headers: { 'Tidemark-Sync': '1', ...init.headers } }),
    )
  const info = await ask('info')
  expect(await info.json()).toMatchObject({ head: 0, author: 'anna' })
  const push = await ask('push', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Tidemark-Log': info.headers.get('Tidemark-Log') ?? '' },
    body: JSON.stringify({
      commits: [{ events: [{ stream: 's', type: 'A', id: 'x', time: 1, data: { n: 1 } }], expect: { s: null } }],
    }),
  })
  expect(await push.json()).toEqual({ head: 1, answers: [{ id: 'x', accepted: 1 }] })
  const pull = await ask('pull?after=0')
  expect((await pull.text()).split('\n').map((line) => line && JSON.parse(line))).toMatchObject([
    { tidemark: 'export', head: 1 },
    { position: 1, commit: 1, version: 1, id: 'x' },
    { scannedTo: 1 },
    '',
  ])
  expect((await handler(new Request('http://localhost/info'))).status).toBe(400)
})
