/** For the compiler: keeps the return type of a function as precise as it was written. */

/** Types that have literals. */
export type Literal = string | number | boolean | bigint

/**
 * Any value, inferred with its literals and tuples: `{ status: 'open' }` stays that, and is not widened to `{ status:
 * string }` before the compiler knows the type that it must fit.
 */
export type Literals<L extends Literal = Literal> =
  | L
  | {}
  | null
  | undefined
  | []
  | Literals<L>[]
  | { [key: string]: Literals<L> }
