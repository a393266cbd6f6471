// Apps of `tidemark/sync`: what they take beside the options of any app, and what their writes return.
import { expectTypeOf } from 'vitest'
import { defineCommand, defineEvents, defineProjection, refuse, table, tidemark as localTidemark, type LiveQuery, type StatusStore } from 'tidemark'
import { openSyncedStore } from 'tidemark/memory'
import { useLiveQuery, useSyncStatus } from 'tidemark/react'
import { defineCommands, tidemark, type AppendedCommit, type OwnCommit, type SyncedStore, type SyncStatus } from 'tidemark/sync'

type A = { type: 'A'; data: { n: number } }
const events = defineEvents<A>()
const rows = defineProjection(events, { name: 'p', tables: { rows: table<{ id: string }>({ key: 'id' }) }, on: { A: ({ stream }, { rows }) => rows.put({ id: stream }) } })
const commands = defineCommands({
  once: defineCommand(events, (stream: string) => ({
    streams: [stream],
    initial: 0,
    evolve: (state) => state + 1,
    decide: (state) => (state > 0 ? refuse('there') : [{ stream, type: 'A', data: { n: 1 } }]),
  })),
})
const signal = new AbortController().signal
const app = tidemark({ name: () => 'app', events, models: { rows }, open: openSyncedStore, sync: { url: () => '/logs/1', headers: { a: 'b' }, commands } })
const session: { user?: string } = {}
const signedIn = {
  url: '/logs/1',
  author: () => session.user,
  headers: ({ unauthorized }: { unauthorized: boolean }) => ({ a: unauthorized ? 'b' : 'c' }),
}
tidemark({ name: 'app', events, models: { rows }, open: openSyncedStore, sync: signedIn })
// @ts-expect-error an author is a text
tidemark({ name: 'app', events, models: { rows }, open: openSyncedStore, sync: { url: '/logs/1', author: 7 } })
void openSyncedStore({ name: 'app', events, url: '/logs/1', author: session.user })
// @ts-expect-error a store has one author while it is open
void openSyncedStore({ name: 'app', events, url: '/logs/1', author: () => 'anna' })

const result = await app.append('s', events.A({ n: 1 }), { until: 'confirmed', signal })
expectTypeOf(result.commit).toEqualTypeOf<AppendedCommit | undefined>()
expectTypeOf(result.visible).toEqualTypeOf<boolean | undefined>()
const executed = await app.execute(commands.once('s'), { until: 'confirmed', signal })
if (executed.type === 'accepted') expectTypeOf(executed.commit).toEqualTypeOf<AppendedCommit | undefined>()
else expectTypeOf(executed.reason).toEqualTypeOf<'there'>()
expectTypeOf(app.sync.status).toEqualTypeOf<StatusStore<SyncStatus>>()
expectTypeOf(app.sync.liveRefused()).toEqualTypeOf<LiveQuery<readonly OwnCommit[]>>()
expectTypeOf(await app.ready()).toEqualTypeOf<SyncedStore<A>>()
expectTypeOf(app.rows.rows.live()).toEqualTypeOf<LiveQuery<readonly Readonly<{ id: string }>[]>>()
expectTypeOf(useSyncStatus(app)).toEqualTypeOf<SyncStatus>()
const { data, pending } = useLiveQuery(app.rows.rows.live())
expectTypeOf(pending).toEqualTypeOf<true | undefined>()
expectTypeOf(data).toEqualTypeOf<readonly Readonly<{ id: string }>[] | undefined>()

// @ts-expect-error an app that syncs needs to know where
tidemark({ name: 'app', events, models: { rows } })
// @ts-expect-error no such option
tidemark({ name: 'app', events, sync: { url: 'u', adress: 'u' } })
// @ts-expect-error the app of the core does not sync
localTidemark({ name: 'app', events, models: { rows }, sync: { url: 'u' } })
// @ts-expect-error nor does it wait for a server
await localTidemark({ name: 'app', events }).append('s', events.A({ n: 1 }), { until: 'confirmed' })
// @ts-expect-error no status of a server
useSyncStatus(localTidemark({ name: 'app', events }))
