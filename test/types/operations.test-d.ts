// Type tests are checked by `npm run typecheck`; nothing runs them.
import { expectTypeOf } from 'vitest'
import {
  exportEvents, importEvents, verifyEventStore, type ImportResult, type LogDefect, type LogDefectKind, type PersistenceResult, type StorageUsage, type TidemarkStore, type VerificationResult,
} from 'tidemark'

declare const store: TidemarkStore

expectTypeOf(verifyEventStore(store)).resolves.toEqualTypeOf<VerificationResult>()
expectTypeOf<VerificationResult['defects']>().toEqualTypeOf<readonly LogDefect[]>()
expectTypeOf<LogDefectKind>().extract<'hole' | 'overlap' | 'version'>().toEqualTypeOf<'hole' | 'overlap' | 'version'>()
expectTypeOf(exportEvents(store, { after: 1, upTo: 2 })).toEqualTypeOf<AsyncIterable<string>>()
expectTypeOf(store.usage()).resolves.toEqualTypeOf<StorageUsage>()
expectTypeOf(store.persist()).resolves.toEqualTypeOf<PersistenceResult>()

// What a backup comes as: another store's export, a file, an answer of a server, lines.
expectTypeOf(importEvents(store, exportEvents(store))).resolves.toEqualTypeOf<ImportResult>()
declare const response: Response
declare const file: Blob
if (response.body !== null) void importEvents(store, response.body)
void importEvents(store, file.stream())
void importEvents(store, 'text')
void importEvents(store, ['line', 'line'], { onProgress: ({ imported, total }) => imported / total })
// @ts-expect-error: numbers are no lines
void importEvents(store, [1])
