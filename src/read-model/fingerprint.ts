/** Tells whether a read model was built with the tables that are declared now. */
import type { ProjectionDefinition } from './define.js'

/** The tables, keys and indexes as text; the order in which they are declared does not matter. */
export function fingerprintOf({ tables }: ProjectionDefinition): string {
  return JSON.stringify(Object.entries(tables).map(([name, { key, indexes = {} }]) => [name, key, Object.entries(indexes).sort()]).sort())
}
