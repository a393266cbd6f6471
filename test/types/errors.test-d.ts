// Type tests are checked by `npm run typecheck`; nothing runs them.
import { expectTypeOf } from 'vitest'
import type { ExpectedVersion, WriteOutcome } from 'tidemark'

expectTypeOf<ExpectedVersion>().toEqualTypeOf<number | 'any' | 'no-stream' | 'stream-exists'>()
expectTypeOf<WriteOutcome>().toEqualTypeOf<'not-written' | 'unknown'>()
