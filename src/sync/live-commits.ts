/** The outbox as a live query. */
import type { Clock } from '../platform/clock.js'
import { equal } from '../read-model/equal.js'
import { liveQuery, type LiveQuery } from '../reading/live-query.js'
import { syncPartsOf } from './sync-parts.js'
import type { OwnCommit, SyncedStore } from './synced-store.js'

/** What a commit is, without what can be done with it. */
const says = ({ settled, retry, discard, ...rest }: OwnCommit): object => rest

/** Own commits that the server has not confirmed, and that are wanted. One that says the same stays the same object. */
export function liveCommits(
  store: SyncedStore,
  wanted: (commit: OwnCommit) => boolean,
  clock: Clock,
): LiveQuery<readonly OwnCommit[]> {
  const { closed, onChange } = syncPartsOf(store)
  let known = new Map<string, OwnCommit>()
  return liveQuery(
    {
      end: () => (closed.aborted ? closed.reason : undefined),
      async evaluate() {
        const found = (await store.outbox()).filter(wanted).map((commit) => {
          const before = known.get(commit.id)
          return before !== undefined && equal(says(before), says(commit)) ? before : commit
        })
        known = new Map(found.map((commit) => [commit.id, commit]))
        return { data: found, position: 0 }
      },
      watch(changed, ended) {
        const stop = onChange(changed)
        closed.addEventListener('abort', ended, { once: true })
        return () => {
          stop()
          closed.removeEventListener('abort', ended)
        }
      },
    },
    clock,
  )
}
