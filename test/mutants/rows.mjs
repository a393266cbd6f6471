/** Mutants of tables, packs, rows and keys, and the tests that notice them. */
const table = 'src/read-model/table-work.ts'
const packs = 'src/read-model/packs.ts'
const rows = 'src/read-model/rows.ts'
const keys = 'src/read-model/keys.ts'
const memory = 'src/read-model/memory-storage.ts'
const unit = 'src/read-model/unit-of-work.ts'
const counts = 'src/read-model/row-counts.ts'
const storage = 'src/read-model/indexeddb-storage.ts'
const view = 'src/read-model/view.ts'
const watch = 'src/read-model/index-watch.ts'

const tableTests = ['test/unit/read-model/table-work.test.ts']
const unitTests = ['test/unit/read-model/unit-of-work.test.ts']
const packTests = ['test/unit/read-model/packs.test.ts']
const contract = ['test/contract/rows.node.test.ts']

export default [
  { id: 'T4', file: table, find: 'for (let at = this.#before.length - 2; at >= 0; at -= 2) {', replace: 'for (let at = 0; at < this.#before.length; at += 2) {', tests: tableTests, breaks: 'a failed event that wrote a row twice leaves its first write' },
  { id: 'T6', file: table, find: 'if (this.#cache.get(slot) === undefined) this.#cache.set(slot, kept', replace: 'this.#cache.set(slot, kept', tests: tableTests, breaks: 'reading a table whole replaces rows that are remembered' },
  { id: 'rows-1', file: table, find: 'if (this.#commits !== commits) return\n    if (rows === undefined)', replace: 'if (rows === undefined)', tests: tableTests, breaks: 'a whole table read before a commit counts as complete after it' },
  { id: 'rows-2', file: table, find: '(this.#commits === commits ? this.#remember(key, row) : this.load(key))', replace: 'this.#remember(key, row)', tests: tableTests, breaks: 'a row read before a commit is remembered after it' },
  { id: 'rows-3', file: table, find: 'return this.known(key) ?? (this.#commits', replace: 'return (this.#commits', tests: tableTests, breaks: 'a row written while it was read is lost to the one that read it' },
  { id: 'rows-4', file: table, find: 'if (missing.length >= readsBeforeWhole && this.#source.onRead === undefined) {', replace: 'if (missing.length >= readsBeforeWhole) {', tests: tableTests, breaks: 'a replay does not know which rows it read' },
  { id: 'rows-5', file: table, find: 'for (const { key, row } of this.#pending.values()) if (row !== null) this.#sawKey(key)', replace: 'for (const { key } of this.#pending.values()) this.#sawKey(key)', tests: tableTests, breaks: 'rows below a deleted key are taken for known' },
  { id: 'rows-6', file: table, find: 'if (last !== undefined) this.#sawKey(last)', replace: 'void last', tests: tableTests, breaks: 'a table too large to read counts as empty at its end' },
  { id: 'rows-7', file: table, find: 'if (pending !== undefined) this.#cache.set(slot, pending)', replace: '', tests: tableTests, breaks: 'a pending row that is needed next is forgotten by a large commit' },
  { id: 'rows-8', file: table, find: 'missing.sort(compareKeys)', replace: '', tests: tableTests, breaks: 'neighbours are not read together' },
  { id: 'rows-9', file: table, find: 'Object.hasOwn(row, this.#keyName) ? ', replace: '', tests: tableTests, breaks: 'a row with an inherited key is stored without one' },
  { id: 'rows-10', file: table, find: 'if (this.#before.length > 0) this.#before = []', replace: '', tests: unitTests, breaks: 'a failed event takes back those before it' },
  { id: 'rows-11', file: unit, find: 'if (after === before && after !== undefined && entry.copied !== true) return', replace: 'if (after === before && after !== undefined) return', tests: contract, breaks: 'a fold that changes a row with a Date in place changes nothing' },
  { id: 'rows-12', file: unit, find: 'if (before !== undefined) table.remove(key)', replace: 'table.remove(key)', tests: unitTests, breaks: 'a fold that returns null for no row writes a deletion' },
  { id: 'rows-13', file: unit, find: 'if (this.unanswered !== undefined) this.failed(this.unanswered.error)', replace: '', tests: unitTests, breaks: 'a handler that catches a storage failure goes on with a wrong row' },
  { id: 'rows-14', file: packs, find: 'if (compareKeys(this.#firsts[middle], key) <= 0) low = middle + 1', replace: 'if (compareKeys(this.#firsts[middle], key) < 0) low = middle + 1', tests: packTests, breaks: 'the first row of a pack is looked for in the one before' },
  { id: 'rows-15', file: packs, find: 'while (to < changes.length && compareKeys((changes[to] as RowChange).key, next) < 0) to += 1', replace: 'while (to < changes.length && compareKeys((changes[to] as RowChange).key, next) <= 0) to += 1', tests: packTests, breaks: 'a row is put into the pack before its own' },
  { id: 'rows-16', file: packs, find: 'if (first !== undefined && packs.length === 0) gone.add(slotOf(first))', replace: '', tests: packTests, breaks: 'a pack that was deleted is still looked for' },
  { id: 'rows-17', file: packs, find: 'if (part.length > 0 && (part.length >= longest || weight + own > weightPerPack)) {', replace: 'if (part.length > 0 && part.length >= longest) {', tests: packTests, breaks: 'heavy rows share a pack' },
  { id: 'rows-18', file: packs, find: "if (isExotic(value)) weight = weightPerPack\n", replace: '', tests: packTests, breaks: 'a Map weighs nothing' },
  { id: 'rows-19', file: packs, find: 'if (first !== undefined) this.#rows.delete(slotOf(first))', replace: '', tests: packTests, breaks: 'rows of a pack that was split are remembered as they were' },
  { id: 'rows-20', file: rows, find: 'walk.copied?.set(value, own)', replace: '', tests: contract, breaks: 'a row that contains one object many times is copied without end' },
  { id: 'rows-21', file: rows, find: 'if (walk.changeable) sealed.set(own, true)', replace: '', tests: contract, breaks: 'a part with a Date, put into another row, can be changed there' },
  { id: 'rows-22', file: rows, find: 'if (unstorable.test(tag)) return tag', replace: '', tests: contract, breaks: 'a row with shared memory fails every commit' },
  { id: 'rows-23', file: rows, find: "return Object.freeze(own)", replace: 'return own', tests: contract, breaks: 'a handler changes what later events rely on' },
  { id: 'rows-24', file: keys, find: 'if (depth >= deepest) return false', replace: '', tests: contract, breaks: 'a list that contains itself is an error of the stack' },
  { id: 'rows-25', file: keys, find: 'for (const part of key) if (!isIndexKey(part, depth + 1)) return false\n  return true', replace: 'return key.every((part) => isIndexKey(part, depth + 1))', tests: contract, breaks: 'a list with holes is a key' },
  { id: 'rows-26', file: keys, find: 'return ones.length - others.length', replace: 'return 0', tests: contract, breaks: 'a list equals a longer one that begins with it' },
  { id: 'rows-27', file: 'src/read-model/kinds.ts', find: "value.byteOffset, value.byteLength)", replace: 'value.byteOffset)', tests: contract, breaks: 'a view is compared by bytes that are not in it' },
  { id: 'rows-28', file: keys, find: "if (typeof value === 'string') return name === 'length' ? value.length : undefined", replace: "if (typeof value === 'string') return undefined", tests: contract, breaks: 'an index by the length of a text is empty in memory' },
  { id: 'rows-29', file: keys, find: 'return order > 0 || (order === 0 && (lowerOpen === true || upperOpen === true))', replace: 'return order > 0', tests: contract, breaks: 'a range open at its only key is an error of IndexedDB' },
  { id: 'rows-30', file: keys, find: "  return { lower: copyOfKey(lower), upper: copyOfKey(upper), lowerOpen, upperOpen }", replace: '  return { lower, upper, lowerOpen, upperOpen }', tests: contract, breaks: 'a bound that the app changes after asking is asked for' },
  { id: 'rows-31', file: memory, find: '|| compareKeys(left.key, right.key))', replace: ')', tests: contract, breaks: 'rows of one index key come in the order they were put in' },
  { id: 'rows-32', file: memory, find: 'return { state, value: structuredClone(found.slice(0, limit).map(({ row }) => row)) }', replace: 'return { state, value: found.slice(0, limit).map(({ row }) => row) }', tests: contract, breaks: 'a reader gets rows that others hold' },
  { id: 'rows-33', file: view, find: 'limit: limit < 2 ** 32 ? limit : Infinity,', replace: 'limit,', tests: contract, breaks: 'a limit of 2 ** 32 fails in IndexedDB' },
  { id: 'rows-34', file: counts, find: 'state.counts?.of === momentOf(state) ?', replace: 'state.counts !== undefined ?', tests: contract, breaks: 'a count that another build left behind is believed' },
  { id: 'rows-35', file: counts, find: 'if (moved?.side === side) for', replace: 'if (moved !== undefined) for', tests: contract, breaks: 'a rebuild counts its rows to those that readers see' },
  { id: 'rows-36', file: storage, find: 'return this.#finish(transaction, before, { after, clear: [] }, { side: from.shown, added: writes.added() })', replace: 'return this.#finish(transaction, before, { after, clear: [] })', tests: contract, breaks: 'rows of a replayed letter are not counted' },
  { id: 'rows-37', file: storage, find: 'if (!equal(before, from)) return this.#finish(transaction, before, transition, moved)', replace: 'if (!equal(before, from)) return this.#finish(transaction, before, transition)', tests: contract, breaks: 'rows of a commit that met a changed state are not counted' },
  { id: 'rows-38', file: watch, find: 'if (warned.has(label)) return', replace: '', tests: contract, breaks: 'an index is warned of at every run' },
  { id: 'rows-39', file: watch, find: '(Array.isArray(value) || !isIndexKey(value))', replace: '!isIndexKey(value)', tests: contract, breaks: 'a list under a plain index is not warned of' },
]
