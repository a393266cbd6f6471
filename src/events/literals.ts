/** For the compiler: keeps what a function returns as precise as it was written. */

/** What has literals. */
export type Literal = string | number | boolean | bigint

/**
 * Any value, which the compiler infers with its literals and tuples: `{ status: 'open' }` stays that, and does not become
 * `{ status: string }`, before the type is known that it has to fit.
 */
export type Literals<L extends Literal = Literal> =
  | L
  | {}
  | null
  | undefined
  | []
  | Literals<L>[]
  | { [key: string]: Literals<L> }
