/** Tells whether a read model was built with the tables that are declared now. */
import { IntegrityError, ProjectionError } from '../errors.js'
import { projectionKey, type ProjectionDefinition } from './define.js'

/** The tables, keys and indexes as text; the order in which they are declared does not matter. */
export function fingerprintOf({ tables }: ProjectionDefinition): string {
  return JSON.stringify(Object.entries(tables).map(([name, { key, indexes = {} }]) => [name, key, Object.entries(indexes).sort()]).sort())
}

/** @throws ProjectionError with code 'definition-changed' if the stored rows were built with other tables */
export function assertSameTables(definition: ProjectionDefinition, stored: { readonly fingerprint: string; readonly position: number }): void {
  if (stored.fingerprint === fingerprintOf(definition)) return
  throw new ProjectionError(
    `The tables of '${projectionKey(definition)}' are not those it was built with. Raise 'version' in defineProjection; the new version is built beside the old one.`,
    { projector: definition.name, attempts: 1 }, new IntegrityError(stored.position, 'the declared tables changed'), 'definition-changed')
}
