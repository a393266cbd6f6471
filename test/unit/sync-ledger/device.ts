/** As much of a device as tests of the ledger's parts need: requests, and nothing that is repeated by itself. */
import type { CommitAnswer, LogInfo, WireLine } from '../../../src/wire/protocol.js'

export interface PushOptions {
  readonly stream?: string
  readonly type?: string
  readonly expect?: Readonly<Record<string, string | null>>
}

export function device(base: string, log = 'one', user = 'anna') {
  const headers = { 'Tidemark-Sync': '1', 'X-User': user }
  const ask = (path: string, init: RequestInit = {}) =>
    fetch(`${base}/logs/${log}/${path}`, { ...init, headers: { ...headers, ...init.headers } })
  const info = async () => (await (await ask('info')).json()) as LogInfo
  return {
    ask,
    info,
    async push(id: string, { stream = 's', type = 'A', expect }: PushOptions = {}): Promise<readonly CommitAnswer[]> {
      const { log: name, epoch } = await info()
      const commit = { events: [{ stream, type, id, time: 1, data: null }], ...(expect && { expect }) }
      const response = await ask('push', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Tidemark-Log': `${name}/${epoch}` },
        body: JSON.stringify({ commits: [commit] }),
      })
      return ((await response.json()) as { answers: CommitAnswer[] }).answers
    },
    async ids(): Promise<string[]> {
      const lines = (await (await ask('pull?after=0')).text()).trim().split('\n')
      return lines.slice(1, -1).map((line) => (JSON.parse(line) as WireLine).id)
    },
  }
}
