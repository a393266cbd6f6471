/** Logs that break a rule: a ledger that does not notice them proves nothing. */
import type { DecisionQuestions, LogDecision, LogStore } from 'tidemark/server'

export const sabotages = ['no-ids', 'refusals-forgotten', 'old-epoch', 'acknowledged-early'] as const

export type Sabotage = (typeof sabotages)[number]

export function sabotaged(store: LogStore, how: string): LogStore {
  const within = (log: LogDecision): LogDecision => {
    switch (how as Sabotage) {
      case 'no-ids':
        // What was stored is not recognised, so a repeat is stored again, under an id that the file does not know.
        return changed(log, {
          find: () => Promise.resolve(new Map()),
          add: (commit) =>
            log.add({
              ...commit,
              events: commit.events.map((event) => ({ ...event, id: `${event.id} at ${event.position}` })),
            }),
        })
      case 'refusals-forgotten':
        return changed(log, { verdicts: () => Promise.resolve(new Map()), keep: () => Promise.resolve() })
      case 'old-epoch':
        return changed(log, { epoch: 'always-the-same' })
      case 'acknowledged-early':
        return log
      default:
        throw new Error(`There is no sabotage '${how}', but ${sabotages.join(', ')}.`)
    }
  }
  // Without a look that does not decide, which would pass by the sabotage.
  const { peek: _peek, ...passed } = passedTo(store)
  return {
    ...passed,
    identity: async () => {
      const { log, epoch } = await store.identity()
      return { log, epoch: how === 'old-epoch' ? 'always-the-same' : epoch }
    },
    decide<T>(work: (log: LogDecision) => Promise<T>, asks?: DecisionQuestions): Promise<T> {
      if (how !== 'acknowledged-early') return store.decide((log) => work(within(log)), asks)
      return new Promise((resolve, reject) => {
        store
          .decide(async (log) => {
            const value = await work(log)
            resolve(value)
            return value
          }, asks)
          .catch(reject)
      })
    },
  }
}

/** A store that does what another one does. */
export function passedTo(store: LogStore): LogStore {
  return {
    identity: () => store.identity(),
    head: () => store.head(),
    chainAt: (position) => store.chainAt(position),
    read: (after, limit) => store.read(after, limit),
    decide: (work, asks) => store.decide(work, asks),
    ...(store.peek && { peek: (work, asks) => (store.peek as typeof store.decide)(work, asks) }),
    subscribe: (listener) => store.subscribe(listener),
    close: () => store.close(),
  }
}

const changed = (log: LogDecision, changes: Partial<LogDecision>): LogDecision => ({
  get epoch() {
    return changes.epoch ?? log.epoch
  },
  get head() {
    return log.head
  },
  get chain() {
    return log.chain
  },
  find: changes.find ?? ((ids) => log.find(ids)),
  last: (streams) => log.last(streams),
  verdicts: changes.verdicts ?? ((author, ids) => log.verdicts(author, ids)),
  after: (position) => log.after(position),
  add: changes.add ?? ((commit) => log.add(commit)),
  keep: changes.keep ?? ((author, ids, verdict) => log.keep(author, ids, verdict)),
})
