// Mutants of events, commands, and the schemas of rows; see the runner of `npm run mutants`.
const catalogue = 'src/events/catalogue.ts'
const schema = 'src/events/schema.ts'
const json = 'src/events/json.ts'
const copy = 'src/events/fresh-copy.ts'
const names = 'src/events/names.ts'
const glob = 'src/events/glob.ts'
const identifier = 'src/events/identifier.ts'
const pipeline = 'src/commands/pipeline.ts'
const execute = 'src/commands/execute.ts'
const retry = 'src/commands/retry.ts'
const batch = 'src/commands/write-batch.ts'
const table = 'src/read-model/table-work.ts'
const live = 'src/read-model/live-projection.ts'

const ofCatalogue = ['test/unit/events/catalogue.test.ts']
const ofSchemas = ['test/contract/schemas.node.test.ts']
const ofJson = ['test/unit/events/json.test.ts']
const ofCopy = ['test/unit/events/fresh-copy.test.ts']
const ofExecute = ['test/unit/commands/execute.test.ts']
const ofMisuse = ['test/unit/commands/misuse.test.ts']
const ofPipeline = ['test/unit/commands/pipeline.test.ts']
const ofLive = ['test/unit/read-model/live-projection-states.test.ts']

export default [
  // From the list by hand.
  { id: 'E6', file: execute, find: `signal?.removeEventListener('abort', abort)`, replace: '', tests: ofExecute, breaks: "a retry's abort listener stays on the caller's signal" },
  { id: 'E7', file: pipeline, find: 'if (command.discover === undefined) continue', replace: 'if (command.discover === undefined || versions.size < queue.size) continue', tests: ofMisuse, breaks: '`discover` is asked only once the queue is empty' },

  { id: 'schema-1', file: schema, find: 'if (kept) return tidied', replace: 'return tidied', tests: ofSchemas, breaks: 'a plain event goes through a transforming schema' },
  { id: 'schema-2', file: schema, find: 'if (isCopy(output, input) && given === textBefore(input)) return true', replace: '', tests: ofSchemas, equivalent: 'the second run says the same of an output that is a copy of its input; only slower' },
  { id: 'schema-3', file: schema, find: 'isCopy(output, input) && given === textBefore(input)', replace: 'isCopy(output, input)', tests: [...ofCatalogue, ...ofSchemas], breaks: 'a schema that changes data in place is not noticed' },
  { id: 'schema-4', file: schema, find: 'return keys.length === Object.keys(other).length\n    && keys', replace: 'return keys', tests: ofCatalogue, breaks: 'an input with more properties than the output counts as the same' },
  { id: 'schema-5', file: schema, find: `result.issues === undefined && toJsonText(result.value, '') === text`, replace: 'result.issues === undefined', tests: ofSchemas, breaks: 'a schema that changes its output counts as one that keeps it' },
  { id: 'schema-6', file: schema, find: '.then(isSame).catch(() => false)', replace: '.then(isSame)', tests: ofCatalogue, breaks: 'a second run that rejects is unhandled' },
  { id: 'schema-7', file: schema, find: 'const all = `${type}\\n${text}`', replace: 'const all = text', tests: ofCatalogue, breaks: 'a mark fits another type' },
  { id: 'schema-8', file: schema, find: 'return `${version}:', replace: 'return `1:', tests: ofCatalogue, breaks: 'a mark fits another version' },
  { id: 'schema-9', file: schema, find: 'Math.imul(one ^ unit, 2654435761)', replace: 'Math.imul(one ^ unit, 2654435769)', tests: ofCatalogue, breaks: 'marks that were kept do not fit the next build' },
  { id: 'schema-10', file: schema, find: 'validate(JSON.parse(text))', replace: 'validate(output)', tests: ofCatalogue, breaks: 'a second run that changes in place changes what is stored' },
  { id: 'schema-11', file: schema, find: 'const whose = value instanceof Promise ?', replace: 'const whose = value === undefined ?', tests: ofCatalogue, breaks: 'the message sends to a creator that an asynchronous schema does not have' },
  { id: 'schema-12', file: schema, find: '{ issues })', replace: '{})', tests: ofCatalogue, breaks: 'the issues of the validator are lost' },
  { id: 'schema-13', file: schema, find: 'if (!isThenable(result)) return valueOf(result, path, plain)', replace: 'if (!(result instanceof Promise)) return valueOf(result as never, path, plain)', tests: ofCatalogue, breaks: "another library's promise counts as a result" },

  { id: 'catalogue-1', file: catalogue, find: 'if (mark === markOf(type, version, toJsonText(data, at))) return data', replace: 'return data', tests: ofSchemas, breaks: 'data that was changed after the check is stored' },
  { id: 'catalogue-2', file: catalogue, find: `keeps(validate, data, given, value, 'data') === true ? event`, replace: 'true ? event', tests: ofSchemas, breaks: 'events of transforming creators are not marked' },
  { id: 'catalogue-3', file: catalogue, find: `validate === undefined || keeps(validate, data, given, value, 'data') === true ? event`, replace: 'validate === undefined ? event', tests: ofCatalogue, breaks: 'events are marked that need no mark' },
  { id: 'catalogue-4', file: catalogue, find: `keeps(validate, data, given, value, 'data') === true`, replace: `keeps(validate, data, given, value, 'data')`, tests: ofCatalogue, breaks: 'a promise counts as a schema that keeps its output' },
  { id: 'catalogue-5', file: catalogue, find: `if (meta !== undefined) toJsonText(meta, 'meta')`, replace: '', tests: ofCatalogue, breaks: 'a creator takes meta that cannot be stored' },
  { id: 'catalogue-6', file: catalogue, find: 'if (storedVersion > found.version) throw', replace: 'if (storedVersion > found.version + 1) throw', tests: ofCatalogue, breaks: 'an event of the next version is read as if it were of this one' },
  { id: 'catalogue-7', file: catalogue, find: 'known.upcasters[from - 1]', replace: 'known.upcasters[storedVersion - 1]', tests: ofCatalogue, breaks: 'the first upcaster runs for each step' },
  { id: 'catalogue-8', file: catalogue, find: 'every(({ upcasters }) => upcasters.length === 0)', replace: 'some(({ upcasters }) => upcasters.length === 0)', tests: ofCatalogue, breaks: 'upcasters are left out where one type has none' },
  { id: 'catalogue-9', file: catalogue, find: 'if (value === undefined) throw', replace: 'if (value === null) throw', tests: ofCatalogue, breaks: 'a forgotten return of an upcaster is data' },
  { id: 'catalogue-10', file: catalogue, find: 'steps.delete(String(from))', replace: 'steps.clear()', tests: ofCatalogue, breaks: 'upcasters after the first are lost' },

  { id: 'json-1', file: json, find: `|| 'toJSON' in value) return false`, replace: ') return false', tests: ofJson, breaks: 'a toJSON that is not enumerable replaces the data' },
  { id: 'json-2', file: json, find: 'key === Symbol.toStringTag || ', replace: '', tests: ofJson, breaks: 'Math is data' },
  { id: 'json-3', file: json, find: '.find((key) => key === Symbol.toStringTag || Object.getOwnPropertyDescriptor(value, key)?.enumerable)', replace: '[0]', tests: ofJson, breaks: 'data of Solid and MobX is refused' },
  { id: 'json-4', file: json, find: 'if (descriptor.enumerable) indexes += 1', replace: 'indexes += 1', tests: ofJson, breaks: 'a name of an array is lost where an index is not enumerable' },
  { id: 'json-5', file: json, find: 'return Object.getOwnPropertySymbols(value).length === 0', replace: 'return true', tests: ofJson, breaks: 'enumerable symbols are left out in silence' },
  { id: 'json-6', file: json, find: 'if (ancestors.length >= deepest)', replace: 'if (ancestors.length > deepest)', tests: ofJson, breaks: 'one level too many' },
  { id: 'json-7', file: json, find: '(isArray || property !== undefined)', replace: 'property !== undefined', tests: ofJson, breaks: 'undefined in an array becomes null' },
  { id: 'json-8', file: json, find: `(keys.at(-1) ?? '-1') !== \`\${keys.length - 1}\``, replace: 'false', tests: ofJson, breaks: 'a hole and a name, as many keys as elements, pass' },

  { id: 'copy-1', file: copy, find: 'made.set(copy(key), copy(part))', replace: 'made.set(key, part)', tests: ofCopy, breaks: 'what a Map holds is shared' },
  { id: 'copy-2', file: copy, find: 'if (known !== undefined) return known as T', replace: '', tests: ofCopy, breaks: 'a state that contains itself overflows the stack' },
  { id: 'copy-3', file: copy, find: 'if (prototype === null) return Object.assign(Object.create(null) as object, value)', replace: '', tests: ofCopy, breaks: 'an object without a prototype gets one' },
  { id: 'copy-4', file: copy, find: 'prototype === Array.prototype) return [...(value as unknown[])]', replace: 'Array.isArray(value)) return [...(value as unknown[])]', tests: ofCopy, breaks: 'an instance of a subclass of Array loses its methods' },
  { id: 'copy-5', file: copy, find: 'prototype === Date.prototype || ArrayBuffer.isView(value) ? structuredClone(value) : value', replace: 'value', tests: ofCopy, breaks: 'Dates and bytes are shared' },

  { id: 'pipeline-1', file: pipeline, find: 'freshCopy(initial)', replace: 'initial', tests: ofExecute, breaks: 'a state changed in place leaks into the next attempt' },
  { id: 'pipeline-2', file: pipeline, find: `awaited('evolve', command.evolve(state, event))`, replace: 'command.evolve(state, event)', tests: ofMisuse, breaks: 'a command decides on a promise' },
  { id: 'pipeline-3', file: pipeline, find: 'queue.size + maxDiscovered', replace: 'maxDiscovered', tests: ofMisuse, breaks: 'declared streams count as discovered' },
  { id: 'pipeline-4', file: pipeline, find: 'if (queue.size > most)', replace: 'if (queue.size >= most)', tests: ofMisuse, breaks: 'the 1,000th stream is refused' },
  { id: 'pipeline-5', file: pipeline, find: 'found.forEach(isRefusedPromise)', replace: '', tests: ofMisuse, breaks: 'rejections of names are unhandled' },
  { id: 'pipeline-6', file: pipeline, find: 'if (!Array.isArray(found)) throw', replace: 'if (found === undefined) throw', tests: ofMisuse, breaks: 'a string is taken for a list of names of one character' },
  { id: 'pipeline-7', file: pipeline, find: 'Array.from<unknown, boolean>(decision, (event) =>', replace: '(decision as readonly unknown[]).map((event) =>', tests: ofMisuse, breaks: 'a hole in a decision is a raw TypeError' },
  { id: 'pipeline-8', file: pipeline, find: 'if (attempts > retry.maxAttempts)', replace: 'if (attempts >= retry.maxAttempts)', tests: ofExecute, breaks: 'one retry too few' },
  { id: 'pipeline-9', file: pipeline, find: 'if (event.version !== version)', replace: 'if (event.version < version)', tests: ofPipeline, breaks: 'a hole in a stream is not noticed' },
  { id: 'pipeline-10', file: pipeline, find: 'for (const [stream, version] of versions) batch.participate(stream, version)', replace: 'for (const [stream, version] of versions) if (decision.some((event) => event.stream === stream)) batch.participate(stream, version)', tests: ofExecute, breaks: 'streams that get no event are not checked' },
  { id: 'pipeline-11', file: pipeline, find: "if (hasCode(error, 'refused') && error.name === 'CommandRefusedError') return", replace: 'return', tests: ofExecute, breaks: 'a bug of the app is a refusal' },
  { id: 'pipeline-12', file: pipeline, find: 'versions.set(stream, version)', replace: 'versions.set(stream, 0)', tests: ofExecute, breaks: 'every stream is expected to be new' },

  { id: 'execute-1', file: execute, find: "if (hasCode(error, 'version-conflict')) return", replace: 'return', tests: ofExecute, breaks: 'a failure of the storage is retried as a conflict' },
  { id: 'execute-2', file: execute, find: 'cancel()\n', replace: '', tests: ofExecute, breaks: 'the timer of a retry outlives the abort' },
  { id: 'execute-3', file: execute, find: 'while (!step.done) {\n    signal?.throwIfAborted()', replace: 'while (!step.done) {', tests: ofExecute, breaks: 'an aborted command reads its streams' },
  { id: 'execute-4', file: execute, find: 'onRetry?.(effect.retry)', replace: '', tests: ofExecute, breaks: 'the hook hears of no retry' },

  { id: 'retry-1', file: retry, find: 'policy.delay * 2 ** (retry - 1)', replace: 'policy.delay * 2 ** retry', tests: ofPipeline, breaks: 'the first pause is doubled' },
  { id: 'retry-2', file: retry, find: 'Math.min(Number.MAX_SAFE_INTEGER, ', replace: '(', tests: ofPipeline, breaks: 'pauses become infinite' },
  { id: 'retry-3', file: retry, find: '!Number.isFinite(delay) || delay < 0', replace: 'delay < 0', tests: ofPipeline, breaks: 'NaN is a pause' },

  { id: 'batch-1', file: batch, find: 'if (last?.stream === name) last.events.push(write)', replace: 'const same = runs.find((run) => run.stream === name)\n      if (same !== undefined) same.events.push(write)', tests: ['test/unit/commands/write-batch.test.ts'], breaks: 'positions do not follow the order of the decision' },
  { id: 'batch-2', file: batch, find: 'if (known !== undefined && known !== version) throw', replace: 'if (known !== undefined && known < version) throw', tests: ['test/unit/commands/write-batch.test.ts'], breaks: 'a stream is expected at two versions' },
  { id: 'batch-3', file: batch, find: 'return [...runs, ...idle', replace: 'return [...idle', tests: ofExecute, breaks: 'nothing is written' },

  { id: 'rows-1', file: table, find: 'if (again.issues !== undefined || !sameStored(again.value, value))', replace: 'if (again.issues !== undefined)', tests: ofSchemas, breaks: 'a row is transformed again each time it is put' },
  { id: 'rows-2', file: table, find: 'const before = freshCopy(row)', replace: 'const before = row', tests: ofSchemas, breaks: 'a schema that changes rows in place is not noticed' },
  { id: 'rows-3', file: table, find: 'this.#validate(freshCopy(value))', replace: 'this.#validate(value)', tests: ofSchemas, breaks: 'the second run of a schema that changes in place compares a row with itself' },
  { id: 'rows-4', file: table, find: 'if (!sameStored(before, value)) {', replace: 'if (before !== value) {', tests: ofSchemas, equivalent: 'the second run says the same; only slower' },

  { id: 'live-1', file: live, find: 'freshCopy(specification.initial)', replace: 'specification.initial', tests: ofLive, breaks: "the app's initial state is changed" },
  { id: 'live-2', file: live, find: 'state === valueOf ? freshCopy(state) : state', replace: 'state', tests: ofLive, breaks: 'a state that is changed in place is never shown again' },
  { id: 'live-3', file: live, find: 'state === valueOf ? freshCopy(state) : state', replace: 'freshCopy(state)', tests: ofLive, breaks: 'what is shown is never the state that the fold returned' },
  { id: 'live-4', file: live, find: 'let value = specification.initial', replace: 'let value = state', tests: ofLive, breaks: 'the first value shown changes under its readers' },
  { id: 'live-5', file: live, find: 'if (isRefusedPromise(folded)) throw', replace: 'if (folded === undefined) throw', tests: ofLive, breaks: 'a promise is shown as the value' },

  { id: 'names-1', file: names, find: `typeof value === 'string' ? value.trim() : value`, replace: 'value', tests: ['test/unit/events/names.test.ts'], breaks: "names with spaces around them are other streams" },
  { id: 'names-2', file: names, find: `.replaceAll('%', '%25')`, replace: '', tests: ['test/unit/events/names.test.ts'], breaks: 'two stores share a database' },
  { id: 'names-3', file: names, find: 'name.length > most', replace: 'name.length >= most', tests: ['test/unit/events/names.test.ts'], breaks: 'the longest name is refused' },
  { id: 'glob-1', file: glob, find: `while (parts[part] === 'run') part += 1`, replace: '', tests: ['test/unit/events/glob.test.ts'], breaks: 'a trailing * matches nothing' },
  { id: 'glob-2', file: glob, find: 'from <= unit && unit <= to', replace: 'from <= unit && unit < to', tests: ['test/unit/events/glob.test.ts'], breaks: 'the end of a range is left out' },
  { id: 'glob-3', file: glob, find: 'runAt += 1', replace: 'runAt = at + 1', tests: ['test/unit/events/glob.test.ts'], breaks: 'names with repetitions do not match' },
  { id: 'identifier-1', file: identifier, find: 'if (time > lastTime || lastTime < 0)', replace: 'if (time !== lastTime)', tests: ['test/unit/events/identifier.test.ts'], breaks: 'ids go back with the clock' },
  { id: 'identifier-2', file: identifier, find: 'if (sequence === sequenceEnd) {', replace: 'if (sequence > sequenceEnd) {', tests: ['test/unit/events/identifier.test.ts'], equivalent: 'the counter starts in its lower half, and nothing makes 2^41 ids in one millisecond' },
]
