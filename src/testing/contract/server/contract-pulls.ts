/** Pages of the log, and the chain. */
import type { WireCommit } from '../../../wire/protocol.js'
import { chainStart, headers as names } from '../../../wire/protocol.js'
import { equal, ok } from '../assert.js'
import { needs } from '../contract-case.js'
import { commit, ContractClient, event, type AddServerCase } from './contract-client.js'

export function pullCases(add: AddServerCase): void {
  for (const part of [pages, refusedPulls, chains]) part(add)
}

/** The chain at the end of each commit, by position. */
async function chainsOf(client: ContractClient): Promise<Map<number, string>> {
  const found = new Map<number, string>()
  let [after, chain] = [0, undefined as string | undefined]
  for (;;) {
    const page = await client.pull(after, chain, 1)
    if (page.events.length === 0) return found
    ;[after, chain] = [page.scannedTo, page.chain]
    found.set(after, chain)
  }
}

function pages(add: AddServerCase): void {
  add('pull: an empty log is a header and a cursor', async (subject) => {
    const anna = new ContractClient(subject)
    const { log, epoch } = await anna.info()
    const page = await anna.pull()
    equal(page.header, { tidemark: 'export', format: 1, log, epoch, after: 0, head: 0 }, 'the header')
    equal([page.events, page.scannedTo, page.chain], [[], 0, chainStart], 'the page')
    equal(await anna.pull(0, chainStart), page, 'the page with the chain of the beginning')
  })

  add('pull: pages follow each other, and divide no commit', async (subject) => {
    const anna = new ContractClient(subject)
    const sizes = [1, 3, 1, 7, 2, 1, 5, 20, 1, 1]
    await anna.push(...sizes.map((size, n) => commit(Array.from({ length: size }, (_, m) => `${n}-${m}`))))
    const whole = await anna.all()
    equal(whole.length, 42, 'the events')
    for (const limit of [1, 2, 3, 5, 10, 41, 42, 1000]) {
      equal(await anna.all(limit), whole, `all pages of ${limit}`)
      let [after, chain] = [0, undefined as string | undefined]
      while (after < 42) {
        const page = await anna.pull(after, chain, limit)
        const commits = new Set(page.events.map((line) => line['commit'])).size
        ok(commits === 1 || (commits > 1 && page.events.length <= limit), `one commit, or at most ${limit} events`)
        ;[after, chain] = [page.scannedTo, page.chain]
      }
    }
    const [one, four] = [await anna.pull(0, undefined, 1), await anna.pull(0, undefined, 4)]
    equal([one.events.length, four.events.length], [1, 4], 'the events of the first pages')
    const next = await anna.pull(one.scannedTo, one.chain, 1)
    equal(next.events.length, 3, 'a commit that is longer than the page')
    const last = await anna.pull(42, (await anna.pull()).chain)
    equal([last.events.length, last.scannedTo], [0, 42], 'the page at the head')
  })

  add('pull: every author reads the whole log', async (subject) => {
    const [anna, bert] = [new ContractClient(subject), new ContractClient(subject, 'bert')]
    await anna.push(commit('x'))
    await bert.push(commit('y'))
    equal(await anna.all(), await bert.all(), 'both logs')
    equal(await anna.ids(), ['x', 'y'], 'the ids')
  })

  add('pull: a long log comes whole, in one page or many', async (subject) => {
    const anna = new ContractClient(subject)
    for (let n = 0; n < 6; n += 1)
      await anna.push(
        ...Array.from({ length: 100 }, (_, m) => commit(Array.from({ length: 5 }, (_, k) => `${n}-${m}-${k}`))),
      )
    const whole = await anna.all()
    equal(whole.length, 3000, 'the events')
    equal(await anna.all(700), whole, 'pages of 700')
  })

  add('pull: if a client takes gzip, it may get it, and the same log', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit(Array.from({ length: 500 }, (_, n) => `x${n}`)))
    const plain = await anna.send('pull', { set: { 'Accept-Encoding': 'identity' } })
    equal(plain.headers.get('Content-Encoding') ?? 'identity', 'identity', 'the encoding of a plain response')
    const text = await plain.text()
    const zipped = await anna.send('pull', { set: { 'Accept-Encoding': 'gzip' } })
    // A client of HTTP unpacks it; a handler that is called directly has no client that does.
    const body = zipped.body as ReadableStream<Uint8Array<ArrayBuffer>>
    const bytes = new Uint8Array(await new Response(body).arrayBuffer())
    const isPacked = bytes[0] === 0x1f && bytes[1] === 0x8b
    const unpacked = isPacked
      ? new Response(new Response(bytes).body?.pipeThrough(new DecompressionStream('gzip')))
      : new Response(bytes)
    equal((await unpacked.text()) === text, true, 'whether both are the same')
  })
}

function refusedPulls(add: AddServerCase): void {
  add('pull: parameters that make no sense are 400', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('x'))
    const { chain } = await anna.pull()
    for (const query of [
      'after=-1',
      'after=x',
      'after=1.5',
      'after=',
      'after=1e1',
      'limit=0',
      'limit=-1',
      'limit=x',
      'after=1',
      // With the right chain.
      ...['%2B1', '%201', '1%20', '1.0', '1e0', '0x1', '-1'].map((after) => `after=${after}&chain=${chain}`),
      'limit=1.0',
      'after=9007199254740992&chain=x',
      'limit=9007199254740992',
    ])
      equal(await anna.problem(`pull?${query}`), { status: 400, code: 'bad-request' }, query)
  })

  add('pull: another chain, a position above the head, and one within a commit are diverged', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('x'), commit(['y', 'z']))
    const chains = await chainsOf(anna)
    equal([...chains.keys()], [1, 3], 'where commits end')
    const [one, three] = [chains.get(1), chains.get(3)]
    for (const query of [
      `after=1&chain=${three}`,
      `after=3&chain=${one}`,
      `after=2&chain=${one}`,
      `after=2&chain=${three}`,
      `after=4&chain=${three}`,
      `after=1&chain=${chainStart}`,
      `after=0&chain=${one}`,
      'after=1&chain=',
      'after=1&chain=%00%0a',
      `after=9007199254740991&chain=${three}`,
    ])
      equal(await anna.problem(`pull?${query}`), { status: 409, code: 'diverged' }, query)
    equal((await anna.pull(1, one)).events.length, 2, 'with the right one')
  })

  add('pull: other parameters are not looked at', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('x'))
    const response = await anna.send('pull?other=1&after=0&limit=9007199254740991&more=')
    equal([response.status, (await response.text()).split('\n').length], [200, 4], 'status and lines')
  })

  add('pull: a device that knows neither log nor epoch may read', async (subject) => {
    const anna = new ContractClient(subject)
    const response = await anna.send('pull', { set: { [names.log]: null, [names.author]: null } })
    equal(response.status, 200, 'the status')
    await response.text()
  })
}

function chains(add: AddServerCase): void {
  add('a chain stays what it was while the log grows', async (subject) => {
    const anna = new ContractClient(subject)
    await anna.push(commit('a'), commit(['b', 'c']))
    const before = await chainsOf(anna)
    await anna.push(commit('d'))
    const after = await chainsOf(anna)
    equal(
      [...before].map(([position, chain]) => [position, chain === after.get(position)]),
      [
        [1, true],
        [3, true],
      ],
      'whether the chains are the same',
    )
    equal(new Set([chainStart, ...after.values()]).size, 4, 'the number of different chains')
  })

  const [first, second] = [event('x'), event('y')]
  const own: readonly WireCommit[] = [{ events: [first, second] }]
  const others: Readonly<Record<string, readonly WireCommit[]>> = {
    'where a commit begins': [{ events: [first] }, { events: [second] }],
    data: [{ events: [first, event('y', { data: { id: 'z' } })] }],
    'data of the first event': [{ events: [event('x', { data: { id: 'z' } }), second] }],
    'a type': [{ events: [first, event('y', { type: 'B' })] }],
    'a time': [{ events: [first, event('y', { time: 2 })] }],
    meta: [{ events: [first, event('y', { meta: null })] }],
    'a version of a schema': [{ events: [first, event('y', { schema: 2 })] }],
    'a stream': [{ events: [first, event('y', { stream: 't' })] }],
    'an id': [{ events: [first, event('z', { data: { id: 'y' } })] }],
    'the order': [{ events: [second, first] }],
  }
  for (const [what, commits] of Object.entries(others))
    add(`logs that differ in ${what} have different chains there and later`, async (subject) => {
      needs(subject, 'otherUrl')
      const [one, other] = [new ContractClient(subject), new ContractClient(subject, 'anna', subject.otherUrl)]
      for (const [client, begin] of [
        [one, own],
        [other, commits],
      ] as const) {
        await client.push(...begin)
        equal((await client.info()).head, 2, 'the head')
      }
      for (let n = 0; n < 3; n += 1) {
        const [{ chain }, { chain: another }] = [await one.pull(), await other.pull()]
        ok(chain !== another, `another chain after ${n} more commits`)
        const pull = await other.problem(`pull?after=${2 + n}&chain=${chain}`)
        equal(pull, { status: 409, code: 'diverged' }, 'a pull with the chain of the other log')
        for (const client of [one, other]) await client.push(commit(`end ${n}`))
      }
    })
}
