/** Changes of what a synced store has stored, as the machine makes them: the server is played by hand. */
import type { SyncedStore } from 'tidemark/sync'
import { OutboxDraft } from '../../src/sync/rules/outbox-draft.js'
import { syncPartsOf } from '../../src/sync/sync-parts.js'
import type { SyncChange, SyncSnapshot } from '../../src/sync/sync-state.js'

/** Stores a change of the outbox. */
export async function change(
  store: SyncedStore<any>,
  rule: (snapshot: SyncSnapshot, draft: OutboxDraft) => SyncChange | void,
) {
  const { storage } = syncPartsOf(store)
  for (;;) {
    const changed = await storage.change(await storage.load(), (snapshot) => {
      const draft = new OutboxDraft(snapshot)
      return rule(snapshot, draft) ?? draft.change()
    })
    if (changed.kind === 'inconsistent') throw new Error('inconsistent')
    if (changed.kind !== 'moved') return changed
  }
}

/** Events of another device arrive: 'stream' and version, with an id of their own. */
export const arrive = (
  store: SyncedStore<any>,
  ...events: readonly [stream: string, version: number, data?: unknown][]
) =>
  change(store, ({ state }, draft) => {
    const at = state.cursor.at + 1
    const texts = events.map(([stream, version, data = { value: 'foreign' }]) => ({
      type: 'Added',
      stream,
      id: `foreign-${stream}-${version}-${state.turn}`,
      idGiven: true,
      time: 7,
      schema: 1,
      data: JSON.stringify(data),
      meta: undefined,
    }))
    return draft.change(
      { cursor: { at: at + texts.length - 1, chain: String(at).padStart(32, '0') } },
      { pulled: { at, events: texts, versions: events.map(([, version]) => version), starts: new Set([0]) } },
    )
  })

/** A restored server lost what is behind a position: the log is another one from there on. */
export const takeBack = (store: SyncedStore<any>, upTo: number, identity: string) =>
  change(store, ({ state }, draft) =>
    draft.change(
      {
        cursor: { at: upTo, chain: 'f'.repeat(32) },
        identity,
        left: [...state.left, { identity: state.identity, upTo }],
      },
      { takeBack: { upTo } },
    ),
  )
