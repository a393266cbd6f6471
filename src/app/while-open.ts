/** What is attached to what is open, whatever is open. */

/** An app, as what follows it sees it: see `AppCore`. */
export interface Followable<O> {
  readonly opened: O | undefined
  follow(listener: () => void): () => void
}

/**
 * Attaches something to what is open, whatever is open.
 *
 * @param attach returns how to detach it
 * @param looked called after each look
 * @returns how to end that
 */
export function whileOpen<O extends object>(
  core: Pick<Followable<O>, 'opened'>,
  watch: (look: () => void) => () => void,
  attach: (opened: O) => readonly ((() => void) | undefined)[],
  looked?: () => void,
): () => void {
  let of: O | undefined
  let undo: readonly ((() => void) | undefined)[] = []
  const detach = () => {
    for (const each of undo) each?.()
  }
  const look = () => {
    if (of !== core.opened) {
      detach()
      of = core.opened
      undo = of === undefined ? [] : attach(of)
    }
    looked?.()
  }
  const unwatch = watch(look)
  look()
  return () => {
    unwatch()
    detach()
  }
}
