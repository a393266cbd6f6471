/**
 * What every log store of a server must do, whatever it is stored in. Runs under any test runner:
 *
 * `for (const { name, run } of logStoreContract(open)) test(name, run)`
 */
import type { LogDecision, LoggedCommit, LogStore } from '../../server/log-store.js'
import { chainStart, type FinalVerdict } from '../../wire/protocol.js'
import { collect, equal, ok } from './assert.js'
import { contractCase, needs, type ContractCase } from './contract-case.js'

/** A log store to be tested, empty at first. */
export interface LogStoreSubject {
  readonly store: LogStore
  /** Closes the store and opens the same log again. Without it the cases about that are skipped. */
  reopen?(): Promise<LogStore>
  /** The same log as another process would have it. Without it `store` is used. */
  another?(): Promise<LogStore>
  /** Closes everything and removes the log. */
  dispose(): Promise<void>
}

type Add = (name: string, check: (store: LogStore, subject: LogStoreSubject) => Promise<void>) => void

/** The cases. Each opens a store of its own. */
export function logStoreContract(open: () => Promise<LogStoreSubject>): ContractCase[] {
  const cases: ContractCase[] = []
  const add: Add = (name, check) => {
    cases.push(contractCase(name, open, (subject) => check(subject.store, subject)))
  }
  for (const part of [empty, adding, atomic, excluding, looking, refusing, readingBack, opening]) part(add)
  return cases
}

/** Texts that a careless encoding would mix up, cut off or lose. */
const oddTexts = [
  'a',
  'A',
  ' a',
  'a ',
  '',
  '0',
  '"',
  '\\',
  '\\u0000',
  'a\u0000b',
  'a\nb',
  'a\u2028b',
  '__proto__',
  'constructor',
  'é',
  'e\u0301',
  '\u{1f600}',
  "a'b",
  'a%b',
  'a|b',
]

/** A commit behind the head; each event says stream and id. */
function commitAt(
  head: number,
  events: readonly {
    readonly stream: string
    readonly id: string
    readonly data?: unknown
    readonly version?: number
  }[],
  author = 'anna',
): LoggedCommit {
  return {
    author,
    events: events.map(({ stream, id, data = null, version = 1 }, index) => {
      const position = head + index + 1
      const line = JSON.stringify({ position, commit: head + 1, stream, version, type: 'A', id, time: 1, data })
      return { position, id, stream, type: 'A', version, line }
    }),
    chain: (head + events.length).toString(16).padStart(32, 'c'),
  }
}

/** Adds one commit in a decision of its own. */
const addOne = (store: LogStore, ...events: Parameters<typeof commitAt>[1][number][]) =>
  store.decide((log) => log.add(commitAt(log.head, events)))

const idsOf = (commits: readonly LoggedCommit[]) => commits.map(({ events }) => events.map(({ id }) => id))

const refused = (message: string): FinalVerdict => ({ refused: { code: 'no', message } })

/** All that is stored, as far as it can be asked for. */
async function everything(store: LogStore) {
  const head = await store.head()
  return { head, chain: await store.chainAt(head), commits: await store.read(0, 1_000_000) }
}

function empty(add: Add): void {
  add('an empty log has no events, and the chain where all begin', async (store) => {
    equal(await everything(store), { head: 0, chain: chainStart, commits: [] }, 'an empty log')
    equal(await store.chainAt(1), undefined, 'the chain above the head')
    const seen = await store.decide(async (log) => ({
      head: log.head,
      chain: log.chain,
      found: [...(await log.find(['x']))],
      last: [...(await log.last(['s']))],
      verdicts: [...(await log.verdicts('anna', ['x']))],
      events: await collect(log.after(0)),
    }))
    equal(
      seen,
      { head: 0, chain: chainStart, found: [], last: [], verdicts: [], events: [] },
      'what a decision sees of an empty log',
    )
  })

  add('the log and its epoch have names that a header can carry, and stay', async (store) => {
    const first = await store.identity()
    ok(/^[\w.-]{1,100}$/.test(first.log), `a plain name of the log, not ${first.log}`)
    ok(/^[\w.-]{1,100}$/.test(first.epoch), `a plain name of the epoch, not ${first.epoch}`)
    await addOne(store, { stream: 's', id: 'x' })
    equal(await store.identity(), first, 'the identity after a commit')
    equal(await store.decide((log) => Promise.resolve(log.epoch)), first.epoch, 'the epoch in a decision')
  })
}

function adding(add: Add): void {
  add('a commit that was added is read as it was, and moves head and chain', async (store) => {
    const commit = commitAt(0, [
      { stream: 's', id: 'x', data: { deep: [1, 'é', '\u{1f600}', '\u2028'] } },
      { stream: 't', id: 'y' },
    ])
    await store.decide((log) => log.add(commit))
    equal(await everything(store), { head: 2, chain: commit.chain, commits: [commit] }, 'the log')
    equal(await store.chainAt(1), undefined, 'the chain within a commit')
    equal(await store.chainAt(0), chainStart, 'the chain of the start')
    const next = commitAt(2, [{ stream: 's', id: 'z', version: 2 }], 'bert')
    await store.decide((log) => log.add(next))
    equal(await store.read(2, 10), [next], 'the commit behind position 2')
    equal(await store.chainAt(2), commit.chain, 'the chain of the commit before')
  })

  add('several commits of one decision are several commits', async (store) => {
    const [one, two] = [commitAt(0, [{ stream: 's', id: 'x' }]), commitAt(1, [{ stream: 's', id: 'y', version: 2 }])]
    await store.decide(async (log) => {
      await log.add(one)
      equal([log.head, log.chain], [1, one.chain], 'head and chain within the decision')
      await log.add(two)
    })
    equal((await everything(store)).commits, [one, two], 'the commits')
    equal(await store.chainAt(1), one.chain, 'the chain between them')
  })

  add('a line is kept to the character, however long', async (store) => {
    const data = ['x'.repeat(300_000), '\u0000', '\ud800', '\\', '"', '\u2028\u2029', '\u{10ffff}', '\u007f']
    const commit = commitAt(0, [{ stream: 's', id: 'x', data }])
    await store.decide((log) => log.add(commit))
    const [read] = await store.read(0, 1)
    ok(read?.events[0]?.line === commit.events[0]?.line, 'the same line')
  })

  add('a commit that does not begin behind the head is refused, and so is its decision', async (store) => {
    await addOne(store, { stream: 's', id: 'x' })
    for (const head of [0, 2, 5]) {
      const work = store.decide((log) => log.add(commitAt(head, [{ stream: 's', id: `y${head}` }])))
      ok(await isRejected(work), `a commit at ${head + 1} to be refused`)
    }
    equal(idsOf((await everything(store)).commits), [['x']], 'the log')
  })
}

const isRejected = (work: Promise<unknown>) =>
  work.then(
    () => false,
    () => true,
  )

function atomic(add: Add): void {
  add('a decision resolves with what it returns', async (store) => {
    equal(await store.decide(() => Promise.resolve({ a: 1 })), { a: 1 }, 'the result')
  })

  add('a decision that throws stores nothing of what it added and kept, and rejects with its error', async (store) => {
    await addOne(store, { stream: 's', id: 'x' })
    const before = await everything(store)
    const thrown = new Error('no')
    let error: unknown
    await store
      .decide(async (log) => {
        await log.add(commitAt(log.head, [{ stream: 's', id: 'y', version: 2 }]))
        await log.keep('anna', ['z'], refused('no'))
        throw thrown
      })
      .catch((reason: unknown) => (error = reason))
    ok(error === thrown, 'its own error')
    equal(await everything(store), before, 'the log')
    const seen = await store.decide(async (log) => [
      log.head,
      (await log.find(['y'])).size,
      (await log.last(['s'])).get('s')?.id,
      (await log.verdicts('anna', ['z'])).size,
    ])
    equal(seen, [1, 0, 'x', 0], 'what the next decision sees')
  })

  add('nothing of a decision is seen before it ends', async (store, { another }) => {
    const other = (await another?.()) ?? store
    await store.decide(async (log) => {
      await log.add(commitAt(0, [{ stream: 's', id: 'x' }]))
      await log.keep('anna', ['z'], refused('no'))
      for (const each of [store, other])
        equal(await everything(each), { head: 0, chain: chainStart, commits: [] }, 'what others see')
    })
    for (const each of [store, other]) equal(await each.head(), 1, 'the head afterwards')
  })
}

function excluding(add: Add): void {
  add('decisions exclude each other: none builds on a head that another one moves', async (store, { another }) => {
    const stores = [store, (await another?.()) ?? store]
    let under = 0
    const decide = (each: LogStore, n: number) =>
      each.decide(async (log) => {
        under += 1
        equal(under, 1, 'the decisions that are under way')
        const { head } = log
        const version = ((await log.last(['s'])).get('s')?.version ?? 0) + 1
        await pause()
        equal(log.head, head, 'the head while it is decided')
        await log.add(commitAt(head, [{ stream: 's', id: `x${n}`, version }]))
        await pause()
        under -= 1
      })
    await Promise.all(Array.from({ length: 30 }, (_, n) => decide(stores[n % 2] as LogStore, n)))
    const events = (await everything(store)).commits.flatMap((commit) => commit.events)
    const upTo30 = Array.from({ length: 30 }, (_, n) => n + 1)
    equal(
      events.map(({ position }) => position),
      upTo30,
      'the positions',
    )
    equal(
      events.map(({ version }) => version),
      upTo30,
      'the versions',
    )
    equal(new Set(events.map(({ id }) => id)).size, 30, 'the number of ids')
  })

  add('a verdict and a commit exclude each other: what looks first decides', async (store, { another }) => {
    const stores = [store, (await another?.()) ?? store]
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        (stores[n % 2] as LogStore).decide(async (log) => {
          if ((await log.find(['x'])).size > 0) return 'there'
          if ((await log.verdicts('anna', ['x'])).size > 0) return 'refused'
          await pause()
          if (n % 2 === 0) await log.add(commitAt(log.head, [{ stream: 's', id: 'x' }]))
          else await log.keep('anna', ['x'], refused('no'))
          return 'first'
        }),
      ),
    )
    equal(outcomes.filter((outcome) => outcome === 'first').length, 1, 'the number of those that came first')
    equal(new Set(outcomes).size, 2, 'the kinds of outcomes')
  })

  add('a decision that throws lets the next one through', async (store) => {
    const [first, second] = await Promise.allSettled([
      store.decide(() => Promise.reject(new Error('no'))),
      addOne(store, { stream: 's', id: 'x' }),
    ])
    equal([first?.status, second?.status], ['rejected', 'fulfilled'], 'the outcomes')
  })
}

/** Lets others do something if nothing holds them back. */
const pause = () => new Promise<void>((resolve) => void setTimeout(resolve, 1))

function looking(add: Add): void {
  const seen = async (log: LogDecision) => ({
    found: [...(await log.find(['x', 'y', 'z', 'w', 'x']))].map(([id, { position }]) => [id, position]).sort(),
    last: [...(await log.last(['s', 't', 'u', 's']))].map(([stream, { id, version }]) => [stream, id, version]).sort(),
    after: (await collect(log.after(1))).map(({ id }) => id),
  })
  const wanted = {
    found: [
      ['x', 1],
      ['y', 2],
      ['z', 3],
    ],
    last: [
      ['s', 'z', 2],
      ['t', 'y', 1],
    ],
    after: ['y', 'z'],
  }

  add('a decision finds events by id, the last ones of streams, and those behind a position', async (store) => {
    await addOne(store, { stream: 's', id: 'x' }, { stream: 't', id: 'y' })
    await addOne(store, { stream: 's', id: 'z', version: 2 })
    equal(await store.decide(seen), wanted, 'what is found')
    const [[, event] = []] = await store.decide(async (log) => [...(await log.find(['y']))])
    equal(
      event,
      commitAt(0, [
        { stream: 's', id: 'x' },
        { stream: 't', id: 'y' },
      ]).events[1],
      'the whole event',
    )
  })

  add('a decision finds what it has added itself', async (store) => {
    await addOne(store, { stream: 's', id: 'x' })
    const found = await store.decide(async (log) => {
      await log.add(commitAt(1, [{ stream: 't', id: 'y' }]))
      await log.add(commitAt(2, [{ stream: 's', id: 'z', version: 2 }]))
      return await seen(log)
    })
    equal(found, wanted, 'what is found')
  })

  add('names and ids are kept apart, whatever is in them', async (store) => {
    const texts = oddTexts.filter((text) => text !== '')
    for (const [index, text] of texts.entries()) await addOne(store, { stream: text, id: `id ${text}`, data: index })
    // An id may also hold half of a character.
    await addOne(store, { stream: 's', id: '\ud83d' }, { stream: 't', id: '\ude00' })
    const found = await store.decide(async (log) => ({
      ids: await log.find([...texts.map((text) => `id ${text}`), '\ud83d', '\ude00']),
      streams: await log.last(texts),
    }))
    for (const [index, text] of texts.entries()) {
      equal(found.ids.get(`id ${text}`)?.position, index + 1, `the position of ${JSON.stringify(text)}`)
      equal(found.streams.get(text)?.position, index + 1, `the last event of ${JSON.stringify(text)}`)
    }
    equal(
      ['\ud83d', '\ude00'].map((id) => found.ids.get(id)?.position),
      [texts.length + 1, texts.length + 2],
      'the positions of half characters',
    )
  })
}

function refusing(add: Add): void {
  add('a verdict is found under its author and each of its ids, in the same decision and later', async (store) => {
    const verdicts: FinalVerdict[] = [
      { conflict: { stream: 's', last: null } },
      { conflict: { stream: '__proto__', last: 'x' } },
      { conflict: { position: 7 } },
      { blocked: 'x' },
      refused('é\u0000"\n'),
    ]
    const found = (log: LogDecision) =>
      Promise.all(
        verdicts.map(async (_, n) => [...(await log.verdicts('anna', [`a${n}`, `b${n}`, 'c', `a${n}`]))].sort()),
      )
    const wanted = verdicts.map((verdict, n) => [
      [`a${n}`, verdict],
      [`b${n}`, verdict],
    ])
    await store.decide(async (log) => {
      for (const [n, verdict] of verdicts.entries()) await log.keep('anna', [`a${n}`, `b${n}`], verdict)
      equal(await found(log), wanted, 'the verdicts in the same decision')
    })
    equal(await store.decide(found), wanted, 'the verdicts later')
    equal(await store.head(), 0, 'the head')
  })

  add('verdicts are kept apart by author, whatever is in the names', async (store) => {
    await store.decide(async (log) => {
      for (const author of oddTexts) await log.keep(author, ['x'], refused(author))
    })
    const found = await store.decide(async (log) => {
      const all = []
      for (const author of oddTexts) all.push((await log.verdicts(author, ['x'])).get('x'))
      return { all, other: (await log.verdicts('b', ['x'])).size }
    })
    equal(found, { all: oddTexts.map(refused), other: 0 }, 'the verdicts')
  })

  add('verdicts are kept apart by id, whatever is in it', async (store) => {
    const ids = [...oddTexts.filter((text) => text !== ''), '\ud83d', '\ude00']
    await store.decide(async (log) => {
      for (const id of ids) await log.keep('anna', [id], refused(`of ${ids.indexOf(id)}`))
    })
    const found = await store.decide((log) => log.verdicts('anna', ids))
    equal(
      ids.map((id) => found.get(id)),
      ids.map((_, index) => refused(`of ${index}`)),
      'the verdicts',
    )
  })
}

function readingBack(add: Add): void {
  add('a page has whole commits, one at least, and else no more events than the limit', async (store) => {
    await store.decide(async (log) => {
      for (const ids of [['a1', 'a2', 'a3'], ['b1'], ['c1', 'c2'], ['d1']])
        await log.add(
          commitAt(
            log.head,
            ids.map((id) => ({ stream: id, id })),
          ),
        )
    })
    const page = async (after: number, limit: number) => idsOf(await store.read(after, limit)).map(([first]) => first)
    equal(await page(0, 1), ['a1'], 'one commit, although it is longer')
    equal(await page(0, 4), ['a1', 'b1'], 'two commits')
    equal(await page(0, 5), ['a1', 'b1'], 'what would be half of the third is left out')
    equal(await page(3, 3), ['b1', 'c1'], 'those behind a position')
    equal(await page(6, 100), ['d1'], 'the last')
    equal(await page(7, 100), [], 'nothing behind the head')
    equal(await page(0, 100), ['a1', 'b1', 'c1', 'd1'], 'all')
  })

  add('a long log is read page by page, each event once and in order', async (store) => {
    for (let n = 0; n < 10; n += 1)
      await store.decide(async (log) => {
        for (let m = 0; m < 60; m += 1)
          await log.add(
            commitAt(
              log.head,
              Array.from({ length: 1 + (m % 7) }, (_, k) => ({ stream: `s${n}-${m}-${k}`, id: `${n}-${m}-${k}` })),
            ),
          )
      })
    const head = await store.head()
    const positions: number[] = []
    let pages = 0
    for (let after = 0; after < head; pages += 1) {
      const commits = await store.read(after, 97)
      after += commits.reduce((sum, { events }) => sum + events.length, 0)
      positions.push(...commits.flatMap(({ events }) => events.map(({ position }) => position)))
      equal(await store.chainAt(after), commits.at(-1)?.chain, `the chain at ${after}`)
    }
    ok(pages > 20, 'many pages')
    equal(
      positions,
      Array.from({ length: head }, (_, index) => index + 1),
      'the positions',
    )
  })
}

function opening(add: Add): void {
  add('what was decided is there after the log was opened again', async (store, subject) => {
    needs(subject, 'reopen')
    await addOne(store, { stream: 's', id: 'x' }, { stream: 't', id: 'y' })
    await store.decide((log) => log.keep('anna', ['z'], refused('no')))
    const before = await everything(store)
    const { log } = await store.identity()
    const again = await subject.reopen()
    equal((await again.identity()).log, log, 'the id of the log')
    equal(await everything(again), before, 'the log')
    const found = await again.decide(async (decision) => [
      [...(await decision.find(['x', 'y']))].length,
      (await decision.verdicts('anna', ['z'])).get('z'),
      (await decision.last(['t'])).get('t')?.id,
    ])
    equal(found, [2, refused('no'), 'y'], 'what a decision finds')
    await addOne(again, { stream: 's', id: 'w', version: 2 })
    equal(await again.head(), 3, 'the head after another commit')
  })

  add('another process sees what was decided here', async (store, subject) => {
    needs(subject, 'another')
    await addOne(store, { stream: 's', id: 'x' })
    const other = await subject.another()
    equal(await everything(other), await everything(store), 'the log')
    await addOne(other, { stream: 's', id: 'y', version: 2 })
    equal(await everything(store), await everything(other), 'the log')
  })

  add('a listener that was removed is not called any more', async (store) => {
    const heads: number[] = []
    const remove = store.subscribe((head) => void heads.push(head))
    remove()
    await addOne(store, { stream: 's', id: 'x' })
    await pause()
    equal(heads, [], 'the calls')
  })
}
