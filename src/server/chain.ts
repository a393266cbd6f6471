/** The chain over commits: a value for the whole log up to a position, with all that is in it. */
import { sha256 } from './sha-256.js'

/** The chain behind a commit: of the chain before it, and of its lines. */
export const chainBehind = (before: string, lines: readonly string[]): string =>
  sha256([before, ...lines].join('\n')).slice(0, 32)
