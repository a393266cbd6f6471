/**
 * What earlier versions of a projection left out by hand, which the next version leaves out as well where it fails.
 * Pure.
 */
import { impossibleIn } from './possible-state.js'
import type { StateRow } from './state.js'

/** Which of some names end with an earlier version, the latest of those first. */
export function earlierVersions(names: readonly string[], prefix: string, version: number): string[] {
  const versionOf = (name: string) =>
    name.startsWith(prefix) && /^[1-9]\d*$/.test(name.slice(prefix.length))
      ? Number(name.slice(prefix.length))
      : version
  return names.filter((name) => versionOf(name) < version).sort((left, right) => versionOf(right) - versionOf(left))
}

/** Whether a run has to look for what earlier versions left out: once, and again where it had stopped. */
export const looksBack = ({ carried, fault }: StateRow, version: number): boolean =>
  version > 1 && (carried === undefined || fault !== undefined)

/** What earlier versions left out, where all states are at hand. */
export function leftOutIn(
  states: ReadonlyMap<string, StateRow | undefined>,
  { name, version }: { readonly name: string; readonly version: number },
  log: string,
): readonly number[] {
  const found = new Set<number>()
  for (const key of earlierVersions([...states.keys()], `${name}@`, version)) addLeftOut(found, states.get(key), log)
  return [...found]
}

/**
 * Adds what an earlier version left out by hand. All of them are read: one may continue to run, and leave out more,
 * after the next one has read it.
 */
export function addLeftOut(found: Set<number>, state: StateRow | undefined, log: string): void {
  if (state?.log === log && impossibleIn(state).length === 0)
    for (const position of [...(state.carried ?? []), ...(state.skipped ?? [])]) found.add(position)
}
