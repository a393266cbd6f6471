/** Tells whether a read model was built with the tables, and from the events, that are declared now. */
import { DefinitionChangedError } from '../errors.js'
import { say } from '../messages.js'
import { projectionKey, type Projection } from './define.js'
import { indexOptions } from './index-keys.js'
import type { IndexDefinition } from './index-paths.js'

/** The tables, keys and indexes as text; the order in which they are declared does not matter. */
export function fingerprintOf({ tables }: Projection): string {
  return JSON.stringify(
    Object.entries(tables)
      .map(([name, { key, indexes = {} }]) => [
        name,
        key,
        Object.entries(indexes)
          .map(([index, declared]) => [index, fingerprintOfIndex(declared)])
          .sort(),
      ])
      .sort(),
  )
}

/** A plain index is the path alone, as it was before there were others. */
function fingerprintOfIndex(declared: IndexDefinition): unknown {
  const { path, multiEntry = false, unique = false } = indexOptions(declared)
  return multiEntry || unique ? { path, ...(multiEntry && { multiEntry }), ...(unique && { unique }) } : path
}

/** An index finds records: a row that is to be found by one has a record of its own. */
export const mayBePacked = ({ indexes = {} }: { readonly indexes?: object }): boolean =>
  Object.keys(indexes).length === 0

/**
 * What is stored if tables may be packed. A tidemark that does not know packs takes it for other tables, and refuses to
 * open them.
 */
export const storedFingerprintOf = (definition: Projection): string =>
  `${Object.values(definition.tables).some(mayBePacked) ? 'packed ' : ''}${fingerprintOf(definition)}`

const stampedPrefix = 'stamped '

/**
 * What is stored with a stamp. A tidemark that does not know of stamps takes it for other tables, and refuses: it would
 * change rows under the same stamp.
 */
export const stampedFingerprint = (stored: string): string =>
  stored === '' || stored.startsWith(stampedPrefix) ? stored : stampedPrefix + stored

/**
 * Whether rows were made with these tables, packed or not, with a stamp or not: read models that are older than packs
 * stay as they are.
 */
export function isFingerprintOf(definition: Projection, stored: string): boolean {
  const plain = stored.startsWith(stampedPrefix) ? stored.slice(stampedPrefix.length) : stored
  return plain === fingerprintOf(definition) || plain === storedFingerprintOf(definition)
}

/**
 * Which events a definition handles, as text: what has a handler, what is folded, and what the filter lets through.
 * Earlier events of a type that is added later would never be seen. The order in which types are named does not matter,
 * nor that one is named twice.
 */
export function handledBy({ filter: { types, streamPrefix, streamPattern }, on, fold, readsAll }: Projection): string {
  const sorted = (names: readonly string[]) => [...new Set(names)].sort()
  return JSON.stringify({
    types: types === undefined || readsAll === true ? 'all' : sorted(types),
    on: sorted(Object.keys(on)),
    fold: sorted(Object.keys(fold)),
    ...(streamPrefix !== undefined && streamPrefix !== '' && { streamPrefix }),
    ...(streamPattern !== undefined && { streamPattern }),
  })
}

/** @throws DefinitionChangedError if the stored rows were built with other tables, or from other events */
export function assertSameDefinition(
  definition: Projection,
  stored: { readonly fingerprint: string; readonly handles?: string; readonly position: number },
): void {
  const handles = handledBy(definition)
  const what = !isFingerprintOf(definition, stored.fingerprint)
    ? 'tables'
    : (stored.handles ?? handles) !== handles
      ? say`event types or the filter`
      : undefined
  if (what === undefined) return
  const how =
    what === 'tables' ? '' : say`: it was built from ${stored.handles}, and this definition handles ${handles}`
  throw new DefinitionChangedError(
    definition.name,
    say`The ${what} of '${projectionKey(definition)}' are not those it was built with${how}. Raise 'version' in defineProjection: the new version is built next to the old one. Or call deleteReadModel().`,
  )
}
