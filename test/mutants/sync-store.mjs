// Mutants of a synced store on its device: numbers, turns, expectations, known ids, limits, and what is taken back.
const contract = 'test/contract/synced-store.node.test.ts'
const storage = 'test/contract/sync-storage.node.test.ts'
export default [
  {
    id: 'sync-store-1',
    file: 'src/sync/indexeddb/indexeddb-sync-storage.ts',
    find: "if (state?.turn !== from.turn || row.n <= state.largestN) return 'moved'",
    replace: "if (state === undefined || row.n <= state.largestN) return 'moved'",
    tests: [storage],
    breaks: 'an append is stored that was decided before another change',
  },
  {
    id: 'sync-store-2',
    file: 'src/sync/indexeddb/indexeddb-sync-storage.ts',
    find: "if (state?.turn !== from.state.turn) return { kind: 'moved' }",
    replace: "if (state === undefined) return { kind: 'moved' }",
    tests: [storage],
    breaks: 'a page that was pulled from an old cursor is stored',
  },
  {
    id: 'sync-store-3',
    file: 'src/sync/change-rules.ts',
    find: 'if (versions[index] !== version) return false',
    replace: 'if (versions[index] === undefined) return false',
    tests: [storage],
    breaks: 'versions that do not follow the log are stored',
  },
  {
    id: 'sync-store-4',
    file: 'src/sync/decide-own.ts',
    find: 'if (lastId(stream) !== id)',
    replace: 'if (lastId(stream) !== id && id === null)',
    tests: [contract],
    breaks: 'a command is stored whose stream has another event of the same version',
  },
  {
    id: 'sync-store-5',
    file: 'src/sync/decide-own.ts',
    find: 'if (found.refused !== undefined) throw new SyncRefusedError(found.name, found.refused)',
    replace: '',
    tests: [contract],
    breaks: 'an append with the ids of a refused commit seems to be pending',
  },
  {
    id: 'sync-store-6',
    file: 'src/sync/decide-own.ts',
    find: 'if (position > condition.after) return { failing: position, allowed }',
    replace: '',
    tests: [contract],
    breaks: 'a condition does not see pending events',
  },
  {
    id: 'sync-store-7',
    file: 'src/sync/outbox-index.ts',
    find: 'if (!isShown(row)) return',
    replace: '',
    tests: [contract],
    breaks: 'commits that were refused count as events of their streams',
  },
  {
    id: 'sync-store-8',
    file: 'src/sync/indexeddb/taken-back.ts',
    find: 'if (begin <= upTo) for (const record of upToPosition(first, upTo)) commits.add(record)',
    replace: '',
    tests: [storage],
    breaks: 'events before the position are lost with a record that is taken back',
  },
]
