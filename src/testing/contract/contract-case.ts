/** A case of a contract, and how one says that it could test nothing. */
/** One rule of a contract. */
export interface ContractCase {
  /** Starts with the number of its rule, which the project's docs/rules.md explains. */
  readonly name: string
  /**
   * Rejects with an `Error` that says what was expected. A case that can test nothing, because the subject lacks what it
   * needs, is skipped with the reason, and never only passes.
   *
   * @param context what Vitest and `node:test` give to a test, or anything else with a `skip(reason)`, which is called
   *   with the reason. Without one the console shows it
   */
  run(context?: unknown): Promise<void>
}

/** Thrown by a case that can test nothing. */
class NotTested extends Error {}

/** Ends a case that can test nothing. */
export function notTested(reason: string): never {
  throw new NotTested(reason)
}

/** Ends a case that needs what the subject does not have. */
export function needs<S extends object, N extends keyof S & string>(
  subject: S,
  name: N,
): asserts subject is S & { readonly [K in N]-?: NonNullable<S[K]> } {
  if (subject[name] === undefined) notTested(`The subject has no '${name}'.`)
}

/** @param check called with a subject of its own */
export function contractCase<S extends { dispose(): Promise<void> }>(
  name: string,
  open: () => Promise<S>,
  check: (subject: S) => Promise<void>,
): ContractCase {
  return {
    name,
    // Without a parameter that counts: some runners pass `done` to a test that takes one, and wait for its call.
    async run(...[context]) {
      const subject = await open()
      try {
        await check(subject)
      } catch (error) {
        if (!(error instanceof NotTested)) throw error
        skip(context, name, error.message)
      } finally {
        await subject.dispose()
      }
    },
  }
}

function skip(context: unknown, name: string, reason: string): void {
  // That of Vitest is a function.
  const runner = Object(context) as { readonly skip?: unknown }
  if (typeof runner.skip === 'function') runner.skip(reason)
  else console.info(`Not tested: ${name}. ${reason}`)
}
