// The machine, stepped by hand: what it asks for, in which order, and what it makes of each reply.
import { describe, expect, test } from 'vitest'
import { anyEvents } from '../../../src/events/catalogue-core.js'
import { MemoryLog } from '../../../src/log/memory/memory-log.js'
import { syncMachine, type MachineOptions } from '../../../src/sync/machine/sync-machine.js'
import { MemorySyncStorage } from '../../../src/sync/memory/memory-sync-storage.js'
import { met } from '../../../src/sync/rules/contact.js'
import { discarded } from '../../../src/sync/rules/retried.js'
import type {
  AnsweredBy,
  DecisionReply,
  PullReply,
  PushReply,
  SyncEffect,
  SyncReplies,
  Woken,
} from '../../../src/sync/sync-effects.js'
import type { OutboxRow, SyncRule, SyncSnapshot } from '../../../src/sync/sync-state.js'
import type { SyncReport } from '../../../src/sync/sync-status.js'
import { by, chain, page, row, text } from '../../support/sync-rows.js'

type Push = Extract<SyncEffect, { kind: 'push' }>
type Pull = Extract<SyncEffect, { kind: 'pull' }>
type Wait = Extract<SyncEffect, { kind: 'wait' }>

const info = {
  ...by,
  head: 0,
  first: 1,
  format: 1,
  limits: { eventBytes: 1, commitEvents: 1, commitBytes: 1, pushBytes: 1 },
}
const refused = (status: number, code: string) => ({ kind: 'refused', status, code, message: 'm', by }) as const

/** A server that has what it was given, and says of each commit what the test wants. */
class Script {
  readonly storage = new MemorySyncStorage(new MemoryLog({ catalogue: anyEvents, codec: undefined }), 'first')
  /** The events of the server. */
  log: string[] = []
  by: AnsweredBy = by
  readonly pushes: string[][] = []
  readonly asked: string[] = []
  readonly reports: SyncReport[] = []
  readonly waits: Wait[] = []
  /** Replies instead of those of the server, the next one first. */
  readonly faults: Partial<Record<'info' | 'pull' | 'push', unknown[]>> = {}
  verdict: (row: OutboxRow) => object = () => ({})
  decision: DecisionReply = { kind: 'unknown' }
  decide: (row: OutboxRow, from: SyncSnapshot) => DecisionReply = () => this.decision
  beforePush: ((effect: Push) => Promise<unknown>) | undefined
  beforeStore: (() => Promise<unknown>) | undefined
  beforePull: (() => void) | undefined
  /** No page can be stored. */
  isFull = false
  readonly #machine

  constructor(options: Partial<MachineOptions> = {}) {
    this.#machine = syncMachine({ random: () => 0.5, newIdentity: () => 'second', ...options })
  }

  async append(...rows: OutboxRow[]): Promise<void> {
    for (const each of rows) expect(await this.storage.append(each, (await this.storage.load()).state)).toBe('stored')
  }

  async change(rule: SyncRule): Promise<void> {
    expect((await this.storage.change(await this.storage.load(), rule)).kind).toBe('stored')
  }

  async names(): Promise<string[]> {
    return (await this.storage.load()).outbox.map(
      ({ name, refused: no, behind }) => `${name}${no ? ` ${no.code}` : ''}${behind ? ' behind' : ''}`,
    )
  }

  /** Up to the next wait, or to the end of a bounded machine. */
  async round(woken?: Woken): Promise<SyncReport | undefined> {
    let next = this.#machine.next(woken as never)
    while (next.done !== true) {
      if (next.value.kind === 'wait') {
        this.waits.push(next.value)
        return this.reports.at(-1)
      }
      next = this.#machine.next((await this.#perform(next.value)) as never)
    }
    return next.value
  }

  async #perform(effect: Exclude<SyncEffect, { kind: 'wait' }>): Promise<SyncReplies[keyof SyncReplies]> {
    const { storage } = this
    this.asked.push(effect.kind)
    switch (effect.kind) {
      case 'load':
        return storage.load()
      case 'own':
        return storage.loadOwn(effect.after)
      case 'confirmed':
        return storage.confirmed(effect.after, effect.limit)
      case 'store': {
        const before = this.beforeStore
        this.beforeStore = undefined
        await before?.()
        return storage.change(effect.from, effect.rule)
      }
      case 'decide':
        return this.decide(effect.row, effect.from)
      case 'report':
        this.reports.push(effect.report)
        return undefined
      default:
        if (effect.kind === 'push') await this.beforePush?.(effect)
        if (effect.kind === 'pull') this.beforePull?.()
        return (this.faults[effect.kind]?.shift() as never) ?? this.#serve(effect)
    }
  }

  #serve(effect: Push | Pull | { kind: 'info' }): PullReply | PushReply | SyncReplies['info'] {
    if (effect.kind === 'info') return { kind: 'info', info: { ...info, head: this.log.length } }
    if (effect.kind === 'pull') {
      if (this.isFull) return { kind: 'full' }
      const { after, limit } = effect
      if (after.chain !== chain(after.at) || after.at > this.log.length) return refused(409, 'diverged')
      const events = this.log.slice(after.at, after.at + limit).map((id, index) => text(id, `v${after.at + index}`))
      return page(after.at, events, { by: this.by, head: this.log.length })
    }
    this.pushes.push([...effect.commits.map(({ name }) => name), ...effect.cancel.map(([id]) => `-${id}`)])
    const answers = [
      ...effect.commits.map((each) => {
        const id = each.events[0]?.id as string
        const said = this.verdict(each)
        return {
          id,
          ...(Object.keys(said).length > 0
            ? said
            : { accepted: this.log.push(...each.events.map((event) => event.id)) - each.events.length + 1 }),
        }
      }),
      ...effect.cancel.map(([id]) => ({ id, refused: { code: 'cancelled', message: '' } })),
    ]
    return { kind: 'pushed', by: this.by, head: this.log.length, answers: answers as never }
  }
}

/** Of a commit that is a stream of its own, as the scripted server gives each event one. */
const own = (n: number, name: string, at: number, more: Partial<OutboxRow> = {}) =>
  row(n, name, { events: [text(name, `v${at}`)], ...more })

describe('a round', () => {
  test('the first contact: info, a pull, and only then a push, whose events are pulled', async () => {
    const script = new Script()
    script.log = ['x', 'y']
    await script.append(own(1, 'a', 2), own(2, 'b', 3))
    const report = await script.round()
    const requests = script.asked.filter((kind) => kind === 'info' || kind === 'pull' || kind === 'push')
    expect(requests).toEqual(['info', 'pull', 'push', 'pull'])
    expect(report).toMatchObject({
      status: 'idle',
      snapshot: { state: { cursor: { at: 4 }, head: 4, sentTo: 2 }, outbox: [] },
    })
    expect(script.waits).toEqual([{ kind: 'wait', ms: 60_000, why: 'idle' }])
    expect((await script.storage.loadOwn(0)).own).toEqual([{ at: 3, n: 2 }])
  })

  test('after an append it pushes and pulls what came of that; nothing else is asked for', async () => {
    const script = new Script()
    await script.round()
    await script.append(own(1, 'a', 0))
    script.asked.length = 0
    await script.round('own-append')
    expect(script.asked.filter((kind) => kind === 'pull' || kind === 'push')).toEqual(['push', 'pull'])
    script.asked.length = 0
    await script.round('server')
    expect(script.asked.filter((kind) => kind === 'pull' || kind === 'push')).toEqual(['pull'])
  })

  test('that it is sent is stored before it leaves', async () => {
    const script = new Script()
    await script.round()
    await script.append(own(1, 'a', 0))
    script.faults.push = [{ kind: 'offline' }]
    await script.round('own-append')
    expect((await script.storage.load()).state.sentTo).toBe(1)
    // So a discard is a cancel.
    await script.change((snapshot) => discarded(snapshot, 1))
    await script.round('online')
    expect(script.pushes).toEqual([['-a']])
    expect(await script.names()).toEqual([])
  })

  test('N141: a commit with a conflict is decided again and sent in the same round', async () => {
    const script = new Script()
    script.verdict = ({ events }) => (events[0]?.id === 'a' ? { conflict: { position: 1 } } : {})
    script.decision = { kind: 'decided', row: row(1, '', { events: [text('a2', 'v0')] }) }
    await script.append(own(1, 'a', 0, { command: { name: 'again', args: '[]' } }))
    await script.round()
    expect(script.pushes).toEqual([['a'], ['a']])
    expect(script.log).toEqual(['a2'])
    expect(await script.names()).toEqual([])
  })

  test('a chain is decided again as a whole, each on those before it, and sent in one push', async () => {
    const script = new Script()
    await script.round()
    const again = { command: { name: 'again', args: '[]' } }
    const names = Array.from({ length: 30 }, (_, index) => `c${index}`)
    const expecting = (index: number, id: string): [string, string | null][] => [
      ...(index === 0 ? [] : ([[`v${index - 1}`, `${id}${index - 1}`]] as [string, string][])),
      [`v${index}`, null],
    ]
    await script.append(
      ...names.map((name, index) => own(index + 1, name, index, { ...again, expect: expecting(index, 'c') })),
    )
    script.verdict = ({ events }) => (events[0]?.id === 'c0' ? { conflict: { position: 1 } } : {})
    // The server stores none of those that were decided on the first one.
    script.faults.push = [
      {
        kind: 'pushed',
        by,
        head: 0,
        answers: names.map((id, index) => ({
          id,
          ...(index === 0 ? { conflict: { position: 1 } } : { blocked: `c${index - 1}` }),
        })),
      },
    ]
    const decided: string[] = []
    script.decide = (each, { outbox }) => {
      decided.push(each.name)
      const at = each.n - 1
      expect(outbox.map(({ events }) => events[0]?.id)).toEqual(names.slice(0, at).map((_, index) => `d${index}`))
      return {
        kind: 'decided',
        row: row(each.n, '', {
          events: [text(`d${at}`, `v${at}`)],
          expect: expecting(at, 'd'),
        }),
      }
    }
    script.asked.length = 0
    await script.round('own-append')
    expect(decided).toEqual(names)
    // What was sent, and the verdicts, twice each; the decisions of all of them; and the page.
    expect(script.asked.filter((kind) => kind === 'store').length).toBeLessThanOrEqual(6)
    expect(script.asked.filter((kind) => kind === 'push' || kind === 'pull')).toEqual(['push', 'push', 'pull'])
    expect(script.pushes).toEqual([names])
    expect(script.log).toEqual(names.map((name) => name.replace('c', 'd')))
  })

  test('an app that appends without end holds up no pull', async () => {
    const script = new Script()
    await script.round()
    let appends = 0
    const cursors: number[] = []
    script.beforePush = async () => {
      cursors.push((await script.storage.load()).state.cursor.at)
      if ((appends += 1) < 20) await script.append(own(appends + 1, `a${appends}`, appends))
    }
    await script.append(own(1, 'a0', 0))
    await script.round('own-append')
    expect(cursors).toEqual(Array.from({ length: 20 }, (_, index) => index))
  })

  test('where no command is known, it stays for a context that knows them', async () => {
    const script = new Script({ decides: false, isBounded: true })
    script.verdict = () => ({ conflict: { position: 1 } })
    await script.append(own(1, 'a', 0, { command: { name: 'again', args: '[]' } }))
    expect(await script.round()).toMatchObject({ status: 'idle' })
    expect(script.asked).not.toContain('decide')
    expect((await script.storage.load()).outbox[0]?.undecided).toBeDefined()
  })

  test('a decision on what is not so any more is made again', async () => {
    const script = new Script()
    script.verdict = ({ events }) => (events[0]?.id === 'a' ? { conflict: { position: 1 } } : {})
    await script.append(own(1, 'a', 0, { command: { name: 'again', args: '[]' } }))
    let decisions = 0
    Object.defineProperty(script, 'decision', {
      get: () => {
        decisions += 1
        // Another context stores something between decision and storage.
        if (decisions === 1)
          script.beforeStore = () => script.change(({ state }) => ({ state: { ...state, turn: state.turn + 1 } }))
        return { kind: 'decided', row: row(1, '', { events: [text(`a${decisions}`, 'v0')] }) }
      },
    })
    await script.round()
    expect(script.log).toEqual(['a2'])
    expect(decisions).toBe(2)
  })

  test('what the server lacks is tried again by the clock and on request, not after every append', async () => {
    const script = new Script()
    script.verdict = ({ name }) => (name === 'a' ? { behind: 'x' } : {})
    await script.append(own(1, 'a', 9))
    await script.round()
    expect(script.pushes).toEqual([['a'], ['a']])
    await script.append(own(2, 'b', 0))
    await script.round('own-append')
    await script.round('server')
    expect(script.pushes.slice(2)).toEqual([['b']])
    await script.round('time')
    await script.round('asked')
    expect(script.pushes.slice(3)).toEqual([['a'], ['a']])
    expect(await script.names()).toEqual(['a behind'])
  })

  test('many commits that are behind hold up no other one', async () => {
    const script = new Script({ pushBytes: 5000 })
    await script.append(...Array.from({ length: 200 }, (_, n) => own(n + 1, `w${n}`, n + 5000)))
    script.verdict = () => ({ behind: 'x' })
    await script.round()
    await script.append(own(2000, 'new', 0))
    script.verdict = ({ name }) => (name === 'new' || name === 'w199' ? {} : { behind: 'x' })
    script.pushes.length = 0
    await script.round('own-append')
    expect(script.pushes).toEqual([['new']])
    // The last of them has what it needs now: its turn comes in the next full round.
    await script.round('time')
    expect(script.log).toEqual(['new', 'w199'])
  })
})

describe('faults', () => {
  test.each([
    [refused(401, 'unauthorized'), 'paused', 'unauthorized'],
    [refused(403, 'forbidden'), 'stopped', 'forbidden'],
    [refused(403, 'whatever'), 'stopped', 'forbidden'],
    [refused(409, 'other-log'), 'stopped', 'other-log'],
    [refused(409, 'other-author'), 'stopped', 'other-author'],
    [refused(409, 'scope-changed'), 'stopped', 'scope-changed'],
    [refused(410, 'before-first'), 'stopped', 'before-first'],
    [refused(426, 'newer-protocol'), 'stopped', 'newer-protocol'],
    [refused(400, 'bad-request'), 'stopped', 'bad-request'],
    [refused(415, 'x'), 'stopped', 'bad-request'],
    [refused(422, 'constructor'), 'stopped', 'bad-request'],
    [refused(200, 'inconsistent'), 'stopped', 'inconsistent'],
  ] as const)('%o', async (reply, status, reason) => {
    const script = new Script()
    await script.append(own(1, 'a', 0))
    await script.round()
    await script.append(own(2, 'b', 1))
    for (const kind of ['pull', 'push'] as const) {
      script.faults[kind] = [reply]
      const report = await script.round('asked')
      expect(report).toMatchObject({ status, reason, message: 'm' })
      // Nothing is refused by it, and only a call ends it.
      expect(script.waits.at(-1)).toEqual({ kind: 'wait', ms: 2 ** 31 - 1, why: 'paused' })
      if (kind === 'push') continue
      expect((await script.round('asked'))?.status).toBe('idle')
      await script.append(own(3, 'c', 2))
    }
    expect((await script.round('asked'))?.status).toBe('idle')
    expect(await script.names()).toEqual([])
  })

  test('offline: pauses that double, with full jitter, up to a minute; contact begins them again', async () => {
    const script = new Script()
    await script.round()
    script.faults.pull = Array.from({ length: 9 }, () => ({ kind: 'offline' }))
    for (let tries = 0; tries < 9; tries += 1) expect((await script.round('time'))?.status).toBe('offline')
    expect(script.waits.slice(1).map(({ ms, why }) => [ms, why])).toEqual(
      [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000].map((ms) => [ms, 'offline']),
    )
    await script.round('online')
    script.faults.pull = [{ kind: 'offline' }]
    await script.round('time')
    expect(script.waits.at(-1)?.ms).toBe(500)
  })

  test('a busy server says how long', async () => {
    const script = new Script()
    script.faults.info = [{ kind: 'busy', after: 7000 }, { kind: 'busy' }]
    expect((await script.round())?.status).toBe('waiting')
    await script.round('time')
    expect(script.waits.map(({ ms, why }) => [ms, why])).toEqual([
      [7000, 'busy'],
      [1000, 'busy'],
    ])
  })

  test('413: half as much, and a single commit is refused', async () => {
    const script = new Script()
    await script.append(...[1, 2, 3, 4].map((n) => own(n, `c${n}`, n - 1)))
    const tooLarge = refused(413, 'too-large')
    script.faults.push = [tooLarge, ...Array.from({ length: 12 }, () => tooLarge)]
    // By now the limit is about 1 KiB, and then about 0.5 KiB.
    await script.round()
    expect(script.log.length + (await script.names()).length).toBe(4)
    const names = await script.names()
    expect(names.every((name) => name.endsWith('too-large'))).toBe(true)
    expect(script.pushes.flat().length + names.length).toBe(4)
  })

  test.each([
    ['408', { kind: 'busy', isSlow: true }],
    ['no response in time', { kind: 'offline', isSlow: true }],
  ] as const)('%s: half as much of a long push each time, and a single commit is tried again', async (_, slow) => {
    const script = new Script()
    await script.round()
    /** Of about 100,000 bytes. */
    const large = (n: number) => own(n, `c${n}`.padEnd(50_000, '.'), n - 1)
    await script.append(...[1, 2, 3, 4, 5, 6, 7, 8].map(large))
    const tried: number[] = []
    script.beforePush = async (effect) => void tried.push(effect.commits.length)
    script.faults.push = Array.from({ length: 6 }, () => slow)
    await script.round('own-append')
    for (let n = 0; n < 6; n += 1) await script.round('time')
    // A pause between the tries, as the link may be busy.
    expect(tried.slice(0, 7)).toEqual([8, 4, 2, 1, 1, 1, 1])
    expect(script.waits.slice(1, 7).map(({ why }) => why)).toEqual(Array(6).fill(slow.kind))
    expect(await script.names()).toEqual([])
    expect(script.log.map((id) => id.slice(0, 2))).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((n) => `c${n}`))
  })

  test('of what is short, a push that does not arrive says nothing about the link', async () => {
    const script = new Script()
    await script.round()
    await script.append(...Array.from({ length: 100 }, (_, n) => own(n + 1, `c${n}`, n)))
    const tried: number[] = []
    script.beforePush = async (effect) => void tried.push(effect.commits.length)
    script.faults.push = Array.from({ length: 3 }, () => ({ kind: 'offline', isSlow: true }))
    await script.round('own-append')
    for (let n = 0; n < 3; n += 1) await script.round('time')
    expect(tried).toEqual([100, 100, 100, 100])
  })

  test('413 for cancels: half as many, and no fewer commits', async () => {
    const script = new Script()
    await script.round()
    await script.append(...[1, 2, 3, 4].map((n) => own(n, `c${n}`, n - 1)))
    script.faults.push = [{ kind: 'offline' }, refused(413, 'too-large'), refused(413, 'too-large')]
    await script.round('own-append')
    for (const n of [1, 2, 3, 4]) await script.change((snapshot) => discarded(snapshot, n))
    expect((await script.round('online'))?.status).toBe('idle')
    expect(script.pushes).toEqual([['-c1'], ['-c2'], ['-c3'], ['-c4']])
    // A server that takes not even one is asked for nothing more.
    await script.append(own(5, 'c5', 0))
    script.faults.push = [{ kind: 'offline' }, refused(413, 'too-large')]
    await script.round('own-append')
    await script.change((snapshot) => discarded(snapshot, 5))
    expect(await script.round('online')).toMatchObject({ status: 'stopped', reason: 'bad-request' })
  })

  test('without space pulls stop for a minute, pushes do not', async () => {
    const script = new Script()
    await script.round()
    script.faults.pull = [{ kind: 'full' }]
    await script.append(own(1, 'a', 0))
    const report = await script.round('time')
    expect(report).toMatchObject({ status: 'waiting', reason: 'storage-full' })
    expect(script.pushes).toEqual([['a']])
    expect(script.waits.at(-1)).toEqual({ kind: 'wait', ms: 60_000, why: 'busy' })
    expect((await script.round('time'))?.status).toBe('idle')
  })

  test('a commit that comes too late again and again is tried without pauses at first, and then after longer ones', async () => {
    const script = new Script()
    await script.round()
    let versions = 0
    script.decide = () => ({ kind: 'decided', row: row(1, '', { events: [text(`a${(versions += 1)}`, 's')] }) })
    // Each time another device was faster, of which this one has to hear before it decides.
    script.verdict = () => {
      script.log.push(`x${script.log.length}`)
      return { conflict: { stream: 's', last: `x${script.log.length - 1}` } }
    }
    await script.append(own(1, 'a', 0, { command: { name: 'c', args: '[]' } }))
    const waits = script.waits.length
    await script.round('time')
    expect([script.pushes.length, script.waits.length - waits]).toEqual([31, 1])
    // What comes after the pause is a pull, and the decision is sent right behind it.
    script.asked.length = 0
    await script.round('rested')
    expect(script.asked.filter((each) => ['pull', 'decide', 'push'].includes(each)).slice(0, 3)).toEqual([
      'pull',
      'decide',
      'push',
    ])
    while ((await script.names())[0] === 'a' && script.waits.at(-1)?.why === 'contended') await script.round('rested')
    expect(script.pushes.length).toBe(101)
    expect(await script.names()).toEqual(['a conflict'])
    const paused = script.waits.filter(({ why }) => why === 'contended').map(({ ms }) => ms)
    expect(paused).toHaveLength(70)
    expect(script.waits.some(({ isSame }) => isSame === true)).toBe(false)
    expect(paused.slice(0, 7)).toEqual([50, 100, 200, 400, 800, 1_000, 1_000])
    expect(Math.max(...paused)).toBe(1_000)
  })

  test('while one that came too late rests, everything else is synced, and that does not make its pause longer', async () => {
    let drawn = 0
    const script = new Script({ random: () => (drawn = (drawn + 0.3) % 1) })
    await script.round()
    let versions = 0
    script.decide = () => ({ kind: 'decided', row: row(1, '', { events: [text(`a${(versions += 1)}`, 's')] }) })
    script.verdict = ({ name }) => {
      if (name !== 'a') return {}
      script.log.push(`x${script.log.length}`)
      return { conflict: { stream: 's', last: `x${script.log.length - 1}` } }
    }
    await script.append(own(1, 'a', 0, { command: { name: 'c', args: '[]' } }))
    await script.round('time')
    const [rest] = script.waits.slice(-1)
    expect(rest).toMatchObject({ why: 'contended', isSame: false })
    for (const [n, name] of [
      [3, 'b'],
      [4, 'c'],
    ] as const) {
      script.asked.length = script.pushes.length = 0
      await script.append(own(n, name, n))
      await script.round('own-append')
      expect(script.pushes).toEqual([[name]])
      expect(script.asked).not.toContain('decide')
      expect(script.waits.at(-1)).toEqual({ ...rest, isSame: true })
    }
    script.log.push('theirs')
    script.asked.length = script.pushes.length = 0
    await script.round('server')
    expect([script.asked.includes('pull'), script.pushes, script.waits.at(-1)]).toEqual([
      true,
      [],
      { ...rest, isSame: true },
    ])
    // A call tries it at once, and so does the end of the pause.
    for (const woken of ['asked', 'rested'] as const) {
      script.pushes.length = 0
      await script.round(woken)
      expect(script.pushes.flat()).toContain('a')
      expect(script.waits.at(-1)).toMatchObject({ why: 'contended', isSame: false })
    }
  })

  test('one bounded round makes no pause: it ends when its time is up', async () => {
    const script = new Script({ isBounded: true })
    let versions = 0
    script.decide = () => ({
      kind: 'decided',
      row: row(1, '', { events: [text(`a${(versions += 1)}`, `v${script.log.length}`)] }),
    })
    script.verdict = () => {
      if (versions === 50) return {}
      script.log.push(`x${script.log.length}`)
      return { conflict: { stream: 's', last: `x${script.log.length - 1}` } }
    }
    await script.append(own(1, 'a', 0, { command: { name: 'c', args: '[]' } }))
    await script.round()
    expect([script.waits, await script.names(), versions]).toEqual([[], [], 50])
  })

  test('without space nothing is decided on a log that lacks what the server has: no try is spent on it', async () => {
    const script = new Script()
    await script.round()
    script.log = ['x']
    let versions = 0
    script.decide = () => ({ kind: 'decided', row: row(1, '', { events: [text(`a${(versions += 1)}`, 'v1')] }) })
    // Of another device, and in the way until this one has pulled it.
    script.verdict = () => (script.isFull ? { conflict: { stream: 'v0', last: 'x' } } : {})
    script.isFull = true
    await script.append(own(1, 'a', 0, { command: { name: 'c', args: '[]' } }))
    expect(await script.round('time')).toMatchObject({ status: 'waiting', reason: 'storage-full' })
    expect([script.pushes, versions]).toEqual([[['a']], 0])
    expect((await script.storage.load()).outbox[0]).toMatchObject({ tries: 1, undecided: { code: 'conflict' } })
    script.isFull = false
    expect((await script.round('time'))?.status).toBe('idle')
    expect([script.log, await script.names()]).toEqual([['x', 'a1'], []])
  })

  test('another epoch: it is taken over, and nothing is pushed before a pull under it', async () => {
    const script = new Script()
    await script.round()
    await script.append(own(1, 'a', 0))
    const next = { ...by, epoch: 'e2' }
    script.faults.push = [{ ...refused(409, 'other-epoch'), by: next }]
    script.faults.pull = [{ kind: 'offline' }]
    await script.round('own-append')
    expect((await script.storage.load()).state).toMatchObject({ remote: next, isFresh: false })
    expect(script.pushes).toEqual([])
    script.asked.length = 0
    script.faults.pull = [page(0, [], { by: next })]
    script.faults.push = [{ kind: 'offline' }]
    await script.round('time')
    expect(script.asked.filter((kind) => kind === 'pull' || kind === 'push')).toEqual(['pull', 'push'])
  })

  test('what a server had before it was restored is sent before what comes later, though another context met it', async () => {
    const script = new Script()
    await script.round()
    await script.append(own(1, 'a', 0))
    const next = { ...by, epoch: 'e2' }
    script.beforePush = async () => {
      script.beforePush = undefined
      // The response is on its way.
      script.beforeStore = async () => {
        script.log = []
        script.by = next
        await script.change((snapshot) => met(snapshot, next))
        await script.append(own(2, 'b', 1))
      }
    }
    await script.round('own-append')
    expect(script.pushes).toEqual([['a'], ['a', 'b']])
    expect((await script.storage.load()).outbox).toEqual([])
  })

  test('a server that is another one each time is left alone', async () => {
    const script = new Script()
    await script.round()
    script.faults.pull = Array.from({ length: 50 }, (_, n) => ({
      ...refused(409, 'other-epoch'),
      by: { ...by, epoch: `e${n + 2}` },
    }))
    expect((await script.round('time'))?.status).toBe('waiting')
    expect(script.faults.pull.length).toBeGreaterThan(30)
  })

  test('a page that does not follow stops, and stores nothing of it', async () => {
    const script = new Script()
    script.faults.pull = [
      page(0, [text('x')], { events: { at: 2, events: [text('x')], versions: [1], starts: new Set([0]) } }),
    ]
    expect(await script.round()).toMatchObject({ status: 'stopped', reason: 'inconsistent' })
    expect((await script.storage.load()).state.cursor.at).toBe(0)
  })

  test('N99: one that came with a hint makes it ask', async () => {
    const script = new Script()
    await script.round()
    script.log = ['x']
    const wrong = page(0, [text('x', 'v0')])
    script.faults.pull = [{ ...wrong, events: { ...wrong.events, versions: [7] }, isHint: true }]
    script.asked.length = 0
    expect((await script.round('server'))?.status).toBe('idle')
    expect(script.asked.filter((kind) => kind === 'pull')).toHaveLength(2)
    expect((await script.storage.confirmed(0, 9)).events).toMatchObject([{ id: 'x', version: 1 }])
  })

  test('a push with no word on any commit is not repeated at once', async () => {
    const script = new Script()
    await script.append(own(1, 'a', 0))
    script.faults.push = [{ kind: 'pushed', by, head: 0, answers: [] }]
    expect((await script.round())?.status).toBe('waiting')
    expect(script.pushes).toEqual([])
  })

  test('a bounded machine ends with what it met, without a wait', async () => {
    const script = new Script({ isBounded: true })
    script.faults.info = [{ kind: 'offline' }]
    expect(await script.round()).toMatchObject({ status: 'offline' })
    expect(script.waits).toEqual([])
  })
})

describe('a restored server', () => {
  test('nothing differs: only the chain is replaced', async () => {
    const script = new Script()
    script.log = ['x', 'y']
    await script.round()
    script.faults.pull = [refused(409, 'diverged')]
    const before = await script.storage.load()
    expect((await script.round('time'))?.status).toBe('idle')
    const { state } = await script.storage.load()
    expect(state).toMatchObject({ identity: 'first', cursor: before.state.cursor, left: [] })
    expect(script.reports.map(({ status }) => status)).toContain('healing')
  })

  test('what is lost and own goes back to the outbox, and is pushed', async () => {
    const script = new Script()
    script.log = ['x']
    await script.append(own(1, 'a', 1), own(2, 'b', 2))
    await script.round()
    expect(script.log).toEqual(['x', 'a', 'b'])
    script.log = ['x', 'z']
    script.verdict = ({ healed, n }) => (healed === true && n < 0 ? {} : { behind: 'never' })
    script.pushes.length = 0
    // The scripted server gives each position a stream of its own, so what is given back has another version there.
    const report = await script.round('time')
    expect(script.pushes[0]).toEqual(['a', 'b'])
    expect(script.log).toEqual(['x', 'z', 'a', 'b'])
    expect(report?.snapshot.state).toMatchObject({ identity: 'second', left: [{ identity: 'first', upTo: 1 }] })
  })

  /** A device at x, a, b, whose server was restored to a past with `[x, a]`, and once more while the two are compared. */
  async function restoredTwice(second: string[]) {
    const script = new Script()
    script.log = ['x']
    await script.append(own(1, 'a', 1), own(2, 'b', 2))
    await script.round()
    script.log = ['x', 'a', 'z']
    let pulls = 0
    // Neither the cursor nor the mark is known, a page is compared, and the fourth pull is the one of the part in common.
    const diverged = refused(409, 'diverged')
    script.faults.pull = [diverged, diverged, undefined, undefined, diverged]
    script.beforePull = () => {
      if ((pulls += 1) === 4) script.log = second
    }
    const report = await script.round('time')
    return { report, script }
  }

  test.each([
    ['a shorter one', ['x'], ['x', 'a', 'b']],
    ['another one of the same length', ['x', 'y', 'z'], ['x', 'y', 'z', 'a', 'b']],
    ['an empty one', [], ['a', 'b']],
  ])('restored unnoticed to %s while the logs are compared: they are compared once more', async (_, second, end) => {
    const { report, script } = await restoredTwice([...second])
    expect(report?.status).toBe('idle')
    expect(script.log).toEqual(end)
    expect((await script.storage.confirmed(0, 10)).events.map(({ id }) => id)).toEqual(end)
  })

  test('a server that sends more than it is asked for cannot be compared with', async () => {
    const script = new Script()
    script.log = ['x']
    await script.append(own(1, 'a', 1), own(2, 'b', 2))
    await script.round()
    script.log = ['x', 'a', 'z']
    const all = page(0, [text('x', 'v0'), text('a', 'v1'), text('z', 'v2')])
    const diverged = refused(409, 'diverged')
    script.faults.pull = [diverged, diverged, all, all]
    expect(await script.round('time')).toMatchObject({ status: 'stopped', reason: 'diverged' })
  })
})
