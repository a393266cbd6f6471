// Shows which of the two builds a tool took: what an error says, and whether there are warnings.
import { defineEvents, defineProjection, startProjection, table, VersionConflictError } from 'tidemark'
import { openEventStore } from 'tidemark/memory'

const warnings = []
console.warn = (warning) => warnings.push(warning)
const events = defineEvents()
const tasks = defineProjection(events, {
  name: 'tasks',
  tables: { tasks: table()({ key: 'id', indexes: { byDone: 'done' } }) },
  on: { TaskAdded: ({ data }, { tasks }) => tasks.put(data) },
})
const store = await openEventStore({ name: 'which', events })
const projection = startProjection(store, tasks)
// An index has no booleans.
const { position } = await store.append({ stream: 'task-1', events: [events.TaskAdded({ id: '1', done: false })] })
await projection.caughtUp(position)
await projection.stop()
const refused = await store.append({ stream: 'task-1', events: [events.TaskAdded({ id: '1', done: true })], expectedVersion: 'no-stream' }).then(
  () => undefined,
  (error) => error,
)
const { code, actual, message } = refused
console.log(JSON.stringify({ code, actual, message, same: refused instanceof VersionConflictError, warnings: warnings.length }))
await store.close()
