/** Two copies of this package in one page, each with its own classes and symbols. */
import { say } from '../messages.js'

/** A property of what any copy of the package makes and only the same copy can use. */
export const made: unique symbol = Symbol.for('tidemark')

/** What to say of a value that is not of this copy: that it is of another one, or else `otherwise`. */
export function notOurs(value: unknown, otherwise: string): string {
  return (value as { [made]?: unknown } | null | undefined)?.[made] === true
    ? say`comes from another copy of tidemark in this page. Bundle only one ('npm ls tidemark' lists them).`
    : otherwise
}
