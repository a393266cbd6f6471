/** What happens in a round, chosen by a seed: who appends, projects and reads, what is killed, and when. Pure. */
import { seededRandom, seedFor } from '../../src/testing/random.js'
import type { Realm } from '../e2e/harness/main.js'

/** What may be killed. */
export type Kill = 'process tree' | 'renderer' | 'dedicated worker' | 'service worker'

/** When: a delay in ms after so many acknowledgements reached the driver, or after the contexts began to open the store. */
export type Moment =
  | { readonly after: 'acknowledgements'; readonly count: number; readonly delay: number }
  | { readonly after: 'start'; readonly delay: number }

/** One event as a writer is told to make it. */
export interface PlannedEvent {
  /** The tally that it counts for. */
  readonly key: string
  readonly amount: number
  /** Its handler writes and then throws, so that it is parked. */
  readonly poison: boolean
}

/** One append. */
export interface PlannedBatch {
  /** Unique in the history of a profile, and carried by every event. */
  readonly id: string
  readonly writes: readonly { readonly stream: string; readonly events: readonly PlannedEvent[] }[]
  /** With the versions of its streams, read just before, so that writers conflict; else they are 'any'. */
  readonly checked: boolean
  /** Appended a second time after its acknowledgement, which must answer the same and store nothing. */
  readonly again: boolean
  /** Before it, ms. */
  readonly pause: number
}

/** A page or worker that takes part. */
export interface PlannedContext {
  /** Which of the pages it belongs to. */
  readonly page: number
  readonly realm: Realm
  readonly durability: 'strict' | 'relaxed'
  readonly projects: boolean
  readonly reads: boolean
  readonly batches: readonly PlannedBatch[]
}

export interface RoundPlan {
  readonly seed: number
  /** Within the profile, from 0. */
  readonly round: number
  readonly pages: number
  readonly contexts: readonly PlannedContext[]
  readonly kill: Kill
  /** Chooses the victim where there are several. */
  readonly victim: number
  readonly moment: Moment
  /** How many acknowledgements the survivors go on for. */
  readonly aftermath: number
  /** The projection is told to fold everything anew at the start. */
  readonly rebuild: boolean
  /** Events of one turn of the service worker's projection. */
  readonly budget: number
}

/** Kills by their weight. */
export type KillWeights = readonly (readonly [Kill, number])[]

const batchesPerWriter = 50
const sharedStreams = 4
const tallies = 12
const poisonShare = 0.03

/** The plan of a round. The same seed, round and weights answer the same plan. */
export function planRound(seed: number, round: number, weights: KillWeights): RoundPlan {
  const random = seededRandom(seedFor(seed, `round ${round}`))
  const chance = (share: number) => random() < share
  const upTo = (most: number) => Math.floor(random() * (most + 1))
  const kill = weighted(weights, random())
  const pages = chance(0.25) ? 3 : 2
  // While tabs project, a service worker finds the lead taken; so in some rounds it has the projection to itself.
  const serviceProjectsAlone = chance(0.3)

  const context = (
    page: number,
    realm: Realm,
    roles: { readonly projects: boolean; readonly writes?: boolean },
  ): PlannedContext => {
    const name = `${round}/${page}/${realm}`
    return {
      page,
      realm,
      durability: chance(0.5) ? 'strict' : 'relaxed',
      projects: roles.projects && !(serviceProjectsAlone && realm !== 'service'),
      reads: chance(0.4),
      batches:
        roles.writes === false
          ? []
          : Array.from({ length: batchesPerWriter }, (_, index) => batch(`${name}#${index}`, name)),
    }
  }
  const batch = (id: string, own: string): PlannedBatch => {
    // Above 512 events a commit is split into records, which must still be all or nothing.
    const size = chance(0.004) ? 513 + upTo(100) : 1 + upTo(chance(0.15) ? 15 : 4)
    const streams = [chance(0.5) ? `own-${own}` : `shared-${upTo(sharedStreams - 1)}`]
    if (size > 1 && chance(0.3)) streams.push(`shared-${upTo(sharedStreams - 1)}x`)
    const events = Array.from({ length: size }, (): PlannedEvent => ({
      key: `k${upTo(tallies - 1)}`,
      amount: upTo(100),
      poison: chance(poisonShare),
    }))
    const cut = streams.length === 1 ? size : 1 + upTo(size - 2)
    const writes = streams.map((stream, index) => ({
      stream,
      events: index === 0 ? events.slice(0, cut) : events.slice(cut),
    }))
    return { id, writes, checked: chance(0.4), again: chance(0.05), pause: chance(0.6) ? upTo(20) : 0 }
  }

  const contexts = Array.from({ length: pages }, (_, page) =>
    context(page, 'page', { projects: chance(0.7), writes: chance(0.8) }),
  )
  contexts.push(context(0, `dedicated:${round}a`, { projects: chance(0.6) }))
  if (kill === 'dedicated worker' || chance(0.4))
    contexts.push(context(1, `dedicated:${round}b`, { projects: chance(0.6) }))
  if (chance(0.5)) contexts.push(context(0, 'shared', { projects: chance(0.6) }))
  if (kill === 'service worker' || serviceProjectsAlone || chance(0.3))
    contexts.push(context(0, 'service', { projects: true }))
  return {
    seed,
    round,
    pages,
    contexts,
    kill,
    victim: upTo(1_000_000),
    moment: chance(0.85)
      ? { after: 'acknowledgements', count: 1 + upTo(chance(0.5) ? 20 : 70), delay: chance(0.5) ? 0 : upTo(30) }
      : { after: 'start', delay: upTo(1500) },
    aftermath: upTo(25),
    rebuild: chance(0.08),
    budget: 1 + upTo(150),
  }
}

function weighted(weights: KillWeights, at: number): Kill {
  let left = at * weights.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [kill, weight] of weights) {
    left -= weight
    if (left < 0) return kill
  }
  throw new RangeError('No kill has a weight')
}
