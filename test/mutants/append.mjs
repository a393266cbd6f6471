/** Appends, ids, hints and records of the log. */
const contract = ['test/contract/append.node.test.ts']
const ids = ['test/unit/log/given-ids.test.ts']
const hints = ['test/unit/log/hints.test.ts']
const large = ['test/unit/log/large-appends.test.ts']
const edited = ['test/contract/edited-records.node.test.ts']
const failures = ['test/unit/log/failures.test.ts']

export default [
  // The rows of the list by hand.
  { id: 'P2', file: 'src/log/repeated.ts', find: 'if (missing >= 0) {', replace: 'if (missing > prepared.events.length) {', tests: contract, breaks: 'of an append of which some ids are known, the rest is dropped' },
  { id: 'R3', file: 'src/log/record.ts', find: 'if (event.idGiven || !event.id.startsWith(lastKey))', replace: 'if (!event.id.startsWith(lastKey))', tests: contract, breaks: 'given ids that begin like the key before them are not indexed, and stored twice' },
  { id: 'R4', file: 'src/log/record.ts', find: 'if (events?.length === record.n && events.every(isObject))', replace: 'if (events !== undefined && events.every(isObject))', tests: edited, breaks: 'a record that holds fewer or more events than it says is read as if sound' },
  { id: 'W3', file: 'src/log/id-gaps.ts', find: 'id > after && id < before)', replace: 'id >= after && id < before)', tests: [...ids, ...contract], breaks: 'the last event appended again by a warm writer is stored twice' },
  { id: 'W6', file: 'src/log/log-writer.ts', find: '    view.ids.stored(prepared.events)\n', replace: '', tests: ids, breaks: 'ids that this writer stored count as new' },
  { id: 'W9', file: 'src/log/log-writer.ts', find: '      return decide()\n', replace: '      throw error\n', tests: failures, breaks: 'an append that meets a lost record once is not decided again' },
  { id: 'W10', file: 'src/log/log-writer.ts', find: 'if (requests.length === 1 && mayCommitEarly())', replace: 'if (mayCommitEarly())', tests: large,
    equivalent: 'where a request that fails after commit() takes its transaction back, as in fake-indexeddb and Chromium. Firefox stores the rest: there test/contract/event-store.browser.test.ts notices it (H10, I2)' },
  { id: 'G1', file: 'src/platform/signals.ts', find: "typeof value === 'number' && Number.isSafeInteger(value) && value >= 0", replace: "typeof value === 'number'", tests: hints, breaks: 'heads that are no positions get past the distrust' },
  { id: 'G2', file: 'src/platform/signals.ts', find: ' && tables.every(shortText)', replace: '', tests: hints, breaks: 'names of tables in a hint may be anything' },
  // What the clock gives.
  { id: 'P10', file: 'src/platform/clock.ts', find: '!(Math.abs(now) <= latestTime)', replace: 'Math.abs(now) > latestTime', tests: contract, breaks: 'NaN is stored as a time, and the event cannot be read' },
  { id: 'P11', file: 'src/platform/clock.ts', find: 'return Math.trunc(now) + 0', replace: 'return now', tests: contract, breaks: 'times are no whole milliseconds' },
  { id: 'P12', file: 'src/events/identifier.ts', find: "typeof now === 'number' && now <= latest ? Math.trunc(now) : -1", replace: 'Math.min(Math.trunc(now), latest)', tests: contract, breaks: 'a clock that returns a bigint breaks creators' },
  // The same id again.
  { id: 'P20', file: 'src/log/repeated.ts', find: "if (stored.stream !== event.stream) return", replace: "if (stored.stream.length > 9999) return", tests: contract, breaks: 'an event of another stream is dropped as a duplicate' },
  { id: 'P21', file: 'src/log/repeated.ts', find: "if (stored.type !== event.type) return", replace: "if (stored.type.length > 9999) return", tests: contract, breaks: 'an event of another type is dropped as a duplicate' },
  { id: 'P22', file: 'src/log/repeated.ts', find: "(stored.schema ?? 1) !== event.schema || ", replace: '', tests: contract, breaks: 'data of an older version of its type is called other data' },
  { id: 'P23', file: 'src/log/repeated.ts', find: 'if (!isPlain || ', replace: 'if (', tests: contract, breaks: 'the same data, encrypted twice, is called other data' },
  { id: 'P24', file: 'src/log/repeated.ts', find: 'keys.length === Object.keys(right).length &&', replace: '', tests: contract, breaks: 'data with a property more counts as the same' },
  { id: 'P25', file: 'src/log/repeated.ts', find: 'Array.isArray(left) === Array.isArray(right) && ', replace: '', tests: contract, breaks: 'an object with the keys of a list counts as that list' },
  { id: 'P26', file: 'src/log/log-writer.ts', find: '        assertSameEvents(prepared, known, this.#about.codec === undefined)\n', replace: '', tests: contract, breaks: 'IndexedDB compares nothing' },
  { id: 'P27', file: 'src/log/memory-log.ts', find: '    assertSameEvents(wanted, known, this.#context.codec === undefined)\n', replace: '', tests: contract, breaks: 'memory compares nothing' },
  // Preparing.
  { id: 'P30', file: 'src/log/prepare.ts', find: 'const kept = waits ? optional(checked) : ', replace: 'const kept = waits ? checked : ', tests: contract, breaks: 'a second refusal by an asynchronous schema is an unhandled rejection' },
  { id: 'P31', file: 'src/log/prepare.ts', find: 'data: begin ? optional(Promise.resolve(encoded)) : encoded,', replace: 'data: encoded,', tests: contract, breaks: 'a second refusal by a codec is an unhandled rejection' },
  { id: 'P32', file: 'src/log/prepare.ts', find: '&& slices.isOver) return false', replace: '&& slices.isOver) continue', tests: large, breaks: 'a large append is one task' },
  { id: 'P33', file: 'src/log/prepare.ts', find: 'if ((left.events < 0 || left.characters < 0) && ', replace: 'if (', tests: large, breaks: 'what a small append reads hangs on how busy the machine is' },
  { id: 'P34', file: 'src/log/prepare.ts', find: "      options.signal?.throwIfAborted()\n    } while", replace: '    } while', tests: large, breaks: 'an aborted append is prepared to its end' },
  { id: 'P35', file: 'src/log/prepare.ts', find: "    onlyKnown(write, writeNames, what)\n", replace: '', tests: contract, breaks: 'a misspelt expectedVersion is none' },
  { id: 'P36', file: 'src/log/prepare.ts', find: 'if (begin && !isThenable(encoded)) return', replace: 'if (begin && late.length > 9e9) return', tests: contract, breaks: 'appends with a synchronous codec lose their order' },
  // The queue.
  { id: 'Q1', file: 'src/log/store.ts', find: 'lastAppend = turn.catch(() => before)', replace: 'lastAppend = turn.catch(() => {})', tests: contract, breaks: 'behind an aborted append two are stored at once' },
  { id: 'Q2', file: 'src/log/store.ts', find: '      closed.abort(new ClosedError(label))\n', replace: '', tests: contract, breaks: 'an append that waits for a schema is never settled when the store is closed' },
  { id: 'Q3', file: 'src/log/store.ts', find: 'options.signal, closed.signal)\n    assertOpen()', replace: 'closed.signal)\n    assertOpen()', tests: contract, breaks: 'a signal does not end the wait for a schema' },
  { id: 'Q4', file: 'src/log/store.ts', find: "head: result.position, format })", replace: "head: result.position })", tests: hints, breaks: 'older builds do not hear of a newer format' },
  { id: 'Q5', file: 'src/log/pages.ts', find: 'isThenable(data) ? await abortable(data, options.signal) : data', replace: 'await data', tests: contract, breaks: 'a decode that never ends holds a read whatever its signal says' },
  { id: 'Q6', file: 'src/log/pages.ts', find: '        options.signal?.throwIfAborted()\n', replace: '', tests: contract, breaks: 'an aborted read says that an event cannot be read' },
  // The writer.
  { id: 'W20', file: 'src/log/log-writer.ts', find: 'if (this.#about.clock.monotonic() < this.#deafUntil) return false', replace: '', tests: hints, breaks: 'every false hint makes the next append look' },
  { id: 'W21', file: 'src/log/log-writer.ts', find: 'view !== undefined && this.#claimed <= view.head && ', replace: 'view !== undefined && ', tests: hints, breaks: 'true hints are not heeded: the next append is refused by its key first' },
  { id: 'W22', file: 'src/log/log-writer.ts', find: '.with(remembered?.head === head ? remembered.ids : undefined)', replace: '.with(remembered?.ids)', tests: ids, breaks: 'ids that another instance stored count as new' },
  { id: 'W23', file: 'src/log/log-writer.ts', find: 'fresh.ids = fresh.ids.with(gap)', replace: 'void gap', tests: ids, breaks: 'after an id from the future every append looks ids up' },
  { id: 'W24', file: 'src/log/log-writer.ts', find: 'if (left === 0 || !slices.isOver) continue', replace: 'if (left >= 0) continue', tests: large, breaks: 'the records of a large append are written in one task' },
  { id: 'W25', file: 'src/log/log-writer.ts', find: 'if (head >= Number.MAX_SAFE_INTEGER) {', replace: 'if (head > Number.MAX_SAFE_INTEGER) {', tests: edited, breaks: 'an append acknowledges 2 ** 53 - 1' },
  { id: 'W26', file: 'src/log/id-gaps.ts', find: 'if (id < span.first) span.first = id', replace: '', tests: ids, breaks: 'an id of the future and those before it count as new' },
  { id: 'W27', file: 'src/log/indexeddb-log.ts', find: ' || now < this.#newer.deafUntil', replace: '', tests: hints, breaks: 'false formats open the database again and again' },
  // Records that were edited.
  { id: 'R20', file: 'src/log/record.ts', find: "if (!Number.isSafeInteger(at) || at < 1)", replace: 'if (!Number.isFinite(at) || at < 1)', tests: edited, breaks: 'a record at 3.5 is read as one' },
  { id: 'R21', file: 'src/log/log-reader.ts', find: 'IDBKeyRange.lowerBound(from - 1, true)', replace: 'IDBKeyRange.lowerBound(from)', tests: edited, breaks: 'a record between two positions is passed by' },
  { id: 'R22', file: 'src/log/queries.ts', find: 'if (record !== undefined) assertPlaced(record as CommitRecord, outcome)', replace: '', tests: edited, breaks: 'the head of an edited log is believed' },
  { id: 'R23', file: 'src/log/log-reader.ts', find: '        assertPlaced(record)\n', replace: '', tests: edited, breaks: 'a stream is read from a record at no position' },
]
