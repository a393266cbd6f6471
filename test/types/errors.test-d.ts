// Type tests are checked by `npm run typecheck`; nothing runs them.
import { expectTypeOf } from 'vitest'
import { isOutdated, type ExpectedVersion, type UnsupportedFormatError, type WriteOutcome } from 'tidemark'

expectTypeOf<ExpectedVersion>().toEqualTypeOf<number | 'any' | 'no-stream' | 'stream-exists'>()
expectTypeOf<WriteOutcome>().toEqualTypeOf<'not-written' | 'unknown'>()
expectTypeOf<UnsupportedFormatError['reason']>().toEqualTypeOf<'newer' | 'synced' | 'adopted'>()
expectTypeOf(isOutdated).toEqualTypeOf<(problem: unknown) => boolean>()
