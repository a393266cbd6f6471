// The rules of a push against a model that looks through lists, over random pushes of three authors and restores.
import {
  memoryLogStore,
  serverLog,
  type CommitAnswer,
  type FinalVerdict,
  type PushBody,
  type WireCommit,
  type WireEvent,
} from 'tidemark/server'
import { expect, test } from 'vitest'
import { seededRandom } from '../../../src/testing/random.js'

interface Stored {
  readonly event: WireEvent
  readonly position: number
}

/** The rules in words of docs/protocol.md, as plainly as they can be written. */
class Model {
  log: Stored[] = []
  /** Where the log was before the push. */
  #begun = 0
  refusals: { readonly author: string; readonly id: string; readonly verdict: FinalVerdict }[] = []

  copy() {
    return { log: [...this.log], refusals: [...this.refusals] }
  }

  push(body: PushBody, author: string, isRefused: (commit: WireCommit) => boolean): CommitAnswer[] {
    const behind: { readonly id: string; readonly streams: readonly string[] }[] = []
    const answers: CommitAnswer[] = []
    this.#begun = this.log.length
    for (const commit of body.commits) {
      const id = commit.events[0]!.id
      const answer = this.#decide(commit, author, isRefused, behind)
      if (answer === 'early') break
      if ('behind' in answer) behind.push({ id, streams: commit.events.map(({ stream }) => stream) })
      this.#remember(
        author,
        commit.events.map((event) => event.id),
        answer,
      )
      answers.push({ id, ...answer })
    }
    const cancelled = (body.cancel ?? []).map((ids) => {
      const logged = ids.map((id) => this.#find(id)).find((found) => found !== undefined)
      const answer =
        logged !== undefined
          ? { accepted: logged.position }
          : (this.#verdictOn(author, ids) ?? { refused: { code: 'cancelled', message: expect.any(String) as string } })
      this.#remember(author, ids, answer)
      return { id: ids[0]!, ...answer }
    })
    return [...answers, ...cancelled]
  }

  #find(id: string) {
    return this.log.find(({ event }) => event.id === id)
  }

  #verdictOn(author: string, ids: readonly string[]) {
    for (const id of ids) {
      const found = this.refusals.find((refusal) => refusal.author === author && refusal.id === id)
      if (found !== undefined) return found.verdict
    }
    return undefined
  }

  #remember(author: string, ids: readonly string[], answer: object) {
    if ('accepted' in answer || 'behind' in answer) return
    for (const id of ids)
      if (this.#verdictOn(author, [id]) === undefined)
        this.refusals.push({ author, id, verdict: answer as FinalVerdict })
  }

  #decide(
    commit: WireCommit,
    author: string,
    isRefused: (commit: WireCommit) => boolean,
    behind: readonly { readonly id: string; readonly streams: readonly string[] }[],
  ) {
    const no = (code: string) => ({ refused: { code, message: expect.any(String) as string } })
    const ids = commit.events.map(({ id }) => id)
    const logged = ids.map((id) => this.#find(id))
    if (logged.some((found) => found !== undefined)) {
      const isTaken = commit.events.some((event, index) => {
        const other = logged[index]?.event
        const same = (one: WireEvent) => JSON.stringify([one.stream, one.type, one.data])
        return other !== undefined && same(other) !== same(event)
      })
      if (isTaken) return no('id-taken')
      return logged.includes(undefined) ? no('incomplete') : { accepted: logged[0]!.position }
    }
    const verdict = this.#verdictOn(author, ids)
    if (verdict !== undefined) return verdict
    const waits = commit.events.flatMap(({ stream }) => behind.filter(({ streams }) => streams.includes(stream)))
    if (waits.length > 0) return { behind: waits[0]!.id }
    const { expect: expected = {}, requires = [], condition } = commit
    const wants = Object.entries(expected).map(([stream, wanted]) => {
      const [id, version] = typeof wanted === 'string' || wanted === null ? [wanted] : wanted
      return { stream, id, version }
    })
    const needs = [...requires, ...wants.map(({ id }) => id).filter((id) => id !== null)]
    if (condition?.after != null) needs.push(condition.after)
    needs.push(...(condition?.except ?? []))
    const blocked = needs.find((id) => this.#verdictOn(author, [id]) !== undefined)
    if (blocked !== undefined) return { blocked }
    const missing = needs.find((id) => this.#find(id) === undefined)
    const streams = wants.map(({ stream, id, version }) => {
      const there = this.log.filter(({ event }) => event.stream === stream).map(({ event }) => event.id)
      const last = there.at(-1) ?? null
      const isSame = last === id && (version === undefined || there.length === version)
      // The version that is expected exists, and is another event.
      const isLate = version !== undefined && there.length >= version && !isSame
      return { stream, last, isSame, isLate }
    })
    const conflict = streams.find(({ isSame, isLate }) => (missing === undefined ? !isSame : isLate))
    if (conflict !== undefined) return { conflict: { stream: conflict.stream, last: conflict.last } }
    if (missing !== undefined) return { behind: missing }
    if (condition !== undefined) {
      const from = condition.after === null ? 0 : this.#find(condition.after)!.position
      const match = this.log.find(
        ({ event, position }) =>
          position > from &&
          condition.failIfEventsMatch.types!.includes(event.type) &&
          !(condition.except ?? []).includes(event.id),
      )
      if (match !== undefined) return { conflict: { position: match.position } }
    }
    if (isRefused(commit)) {
      // The owner is asked before anything of the push is stored.
      const isEarly = needs.some((id) => this.#find(id)!.position > this.#begun)
      return isEarly ? 'early' : no('by-rule')
    }
    const position = this.log.length + 1
    for (const event of commit.events) this.log.push({ event, position: this.log.length + 1 })
    return { accepted: position }
  }
}

/** Random pushes over few ids, streams and types, so that they meet. */
function pushes(random: () => number) {
  const pick = (count: number) => Math.floor(random() * count)
  const chance = (share: number) => random() < share
  let made = 0
  const known: WireCommit[] = []
  const anyId = () => (chance(0.1) ? `none${pick(3)}` : `e${pick(made + 1)}`)
  const event = (id: string): WireEvent => ({
    stream: `s${pick(3)}`,
    type: `T${pick(3)}`,
    id,
    time: 1,
    data: chance(0.9) ? 0 : 1,
  })
  const expectedLast = () => (chance(0.3) ? null : chance(0.5) ? ([anyId(), 1 + pick(6)] as const) : anyId())
  const fresh = (): WireCommit => {
    const events = Array.from({ length: 1 + pick(3) }, () => event(chance(0.95) ? `e${made++}` : anyId()))
    const distinct = events.filter(({ id }, index) => events.findIndex((other) => other.id === id) === index)
    return {
      events: distinct,
      ...(chance(0.5) && { expect: { [`s${pick(3)}`]: expectedLast() } }),
      ...(chance(0.3) && { requires: Array.from({ length: 1 + pick(2) }, anyId) }),
      ...(chance(0.3) && {
        condition: {
          failIfEventsMatch: { types: [`T${pick(3)}`] },
          after: chance(0.3) ? null : anyId(),
          ...(chance(0.5) && { except: [anyId()] }),
        },
      }),
    }
  }
  /** One that was pushed before: as it was, without its needs, or a part of it. */
  const again = (): WireCommit => {
    const commit = known[pick(known.length)] ?? fresh()
    if (chance(0.6)) return commit
    return chance(0.5) ? { events: commit.events } : { events: commit.events.slice(pick(commit.events.length)) }
  }
  return (): PushBody => {
    const commits = Array.from({ length: 1 + pick(4) }, () => (chance(0.3) ? again() : fresh()))
    known.push(...commits)
    return {
      commits,
      ...(chance(0.2) && { cancel: [[anyId()], known[pick(known.length)]!.events.map(({ id }) => id)] }),
    }
  }
}

const kindOf = (answer: CommitAnswer) => Object.keys(answer).find((name) => name !== 'id')!

test(
  'N49, N50, N51, N52, N53, N136: every verdict and the log are those of the model',
  { timeout: 60_000 },
  async () => {
    const kinds = new Map<string, number>()
    for (let seed = 1; seed <= 80; seed += 1) {
      const random = seededRandom(seed)
      const store = memoryLogStore()
      const log = serverLog(store)
      const model = new Model()
      const next = pushes(random)
      const isRefused = (commit: WireCommit) => commit.events.some(({ type, data }) => type === 'T2' && data === 1)
      const accept = (commit: WireCommit) => (isRefused(commit) ? { code: 'by-rule', message: 'No.' } : undefined)
      let backup = { server: store.snapshot(), model: model.copy() }
      for (let step = 0; step < 40; step += 1) {
        if (random() < 0.05) backup = { server: store.snapshot(), model: model.copy() }
        if (random() < 0.03) {
          store.restore(backup.server)
          Object.assign(model, { log: [...backup.model.log], refusals: [...backup.model.refusals] })
        }
        const body = next()
        const author = `author${Math.floor(random() * 3)}`
        const { head, answers } = await log.push(JSON.parse(JSON.stringify(body)), { author, accept })
        expect(answers, `seed ${seed}, step ${step}: ${JSON.stringify(body)}`).toEqual(
          model.push(body, author, isRefused),
        )
        expect(head).toBe(model.log.length)
        for (const answer of answers) kinds.set(kindOf(answer), (kinds.get(kindOf(answer)) ?? 0) + 1)
      }
      const lines = (await store.read(0, Infinity)).flatMap(({ events }) => events.map(({ line }) => JSON.parse(line)))
      expect(
        lines.map(({ id, position, stream, data }) => ({ id, position, stream, data })),
        `seed ${seed}`,
      ).toEqual(model.log.map(({ event: { id, stream, data }, position }) => ({ id, position, stream, data })))
      for (const [index, line] of lines.entries())
        expect(line.version).toBe(lines.slice(0, index + 1).filter(({ stream }) => stream === line.stream).length)
    }
    // None of them is rare.
    for (const kind of ['accepted', 'conflict', 'refused', 'blocked', 'behind'])
      expect(kinds.get(kind), kind).toBeGreaterThan(100)
  },
)
