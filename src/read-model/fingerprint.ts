/** Tells whether a read model was built with the tables that are declared now. */
import { IntegrityError, ProjectionError } from '../errors.js'
import { projectionKey, type ProjectionDefinition } from './define.js'

/** The tables, keys and indexes as text; the order in which they are declared does not matter. */
export function fingerprintOf({ tables }: ProjectionDefinition): string {
  return JSON.stringify(Object.entries(tables).map(([name, { key, indexes = {} }]) => [name, key, Object.entries(indexes).sort()]).sort())
}

/** An index finds records: a row that is to be found by one has a record of its own. */
export const mayBePacked = ({ indexes = {} }: { readonly indexes?: object }): boolean => Object.keys(indexes).length === 0

/** What is stored of it where tables may be packed: a tidemark that knows of no packs takes it for other tables, and keeps its hands off. */
export const storedFingerprintOf = (definition: ProjectionDefinition): string =>
  `${Object.values(definition.tables).some(mayBePacked) ? 'packed ' : ''}${fingerprintOf(definition)}`

/** Whether rows were made with these tables, packed or not: read models that are older than packs stay as they are. */
export const isFingerprintOf = (definition: ProjectionDefinition, stored: string): boolean =>
  stored === fingerprintOf(definition) || stored === storedFingerprintOf(definition)

/** @throws ProjectionError with code 'definition-changed' if the stored rows were built with other tables */
export function assertSameTables(definition: ProjectionDefinition, stored: { readonly fingerprint: string; readonly position: number }): void {
  if (isFingerprintOf(definition, stored.fingerprint)) return
  throw new ProjectionError(
    `The tables of '${projectionKey(definition)}' are not those it was built with. Raise 'version' in defineProjection; the new version is built beside the old one.`,
    { projector: definition.name, attempts: 1 }, new IntegrityError(stored.position, 'the declared tables changed'), 'definition-changed')
}
