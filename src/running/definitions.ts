/**
 * Which definitions are in use in this context: two under one name would share rows, and only one of them would write
 * those.
 */
import { AlreadyRunningError, DefinitionChangedError } from '../errors.js'
import { say } from '../messages.js'
import { databaseName } from '../events/names.js'
import { closedError, type StoreInternals } from '../log/open.js'
import { getOrMake } from '../platform/get-or-make.js'
import { listenerSet, type Listeners } from '../platform/listeners.js'
import type { Projector } from '../projection/projector.js'
import { isDefinition, projectionKey, type Projection } from '../read-model/define.js'
import { fingerprintOf, handledBy } from '../read-model/fingerprint.js'

/** A definition in use, and everything that uses it. */
export interface InUse {
  readonly definition: Projection | Projector<never>
  /** Each returns the error of its store if that is closed. */
  readonly users: Set<() => unknown>
  /** Runs that wait after a failure of the storage: a call of the app makes them try again immediately. */
  readonly waiting: Listeners<[]>
}

/** Those of each store in memory, and under this object those of all others. */
const definitions = new WeakMap<object, Map<string, InUse>>()
const notInMemory = {}

type Definition = Projection | Projector<never>

/** A function as text. Of one that was bound, or made by the engine, there is only its name. */
function textOf(part: unknown): unknown {
  if (typeof part !== 'function') return part
  const text = String(part)
  return /\{\s*\[native code\]\s*\}$/.test(text) ? `${part.name}: ${text}` : text
}

/** What tells one definition from another, part by part. What a handler closes over does not show. */
function partsOf(source: Definition): Readonly<Record<string, unknown>> {
  const { onFailure } = source
  if (!isDefinition(source)) {
    const { types, ...filter } = source.filter ?? {}
    return {
      onFailure,
      apply: source.apply,
      filter: JSON.stringify({ ...filter, types: Array.isArray(types) ? [...types].sort() : types }, [
        'types',
        'streamPrefix',
        'streamPattern',
      ]),
    }
  }
  const parts: Record<string, unknown> = { onFailure, tables: fingerprintOf(source), filter: handledBy(source) }
  for (const [type, handler] of Object.entries(source.on)) parts[`on.${type}`] = handler
  for (const [table, { key, evolve }] of Object.entries(
    source.fold as Record<string, { key: unknown; evolve: unknown }>,
  )) {
    parts[`fold.${table}.key`] = key
    parts[`fold.${table}.evolve`] = evolve
  }
  return parts
}

/** The parts in which two definitions differ. */
function differing(one: Definition, other: Definition): string[] {
  const [there, here] = [partsOf(one), partsOf(other)]
  return Object.keys({ ...there, ...here }).filter((part) => textOf(there[part]) !== textOf(here[part]))
}

/** Whether two objects are one definition: the same tables, filter and text of functions. */
export const isSameDefinition = (one: Definition, other: Definition): boolean => differing(one, other).length === 0

/** A definition as text. */
export const definitionText = (definition: Projection): string =>
  JSON.stringify(
    Object.entries(partsOf(definition))
      .map(([name, part]) => [name, textOf(part)])
      .sort(),
  )

/** What two texts are from where they differ on. */
function excerpts(...parts: readonly unknown[]): string {
  const [one, other] = parts.map((part) => (part === undefined ? 'nothing' : String(part))) as [string, string]
  let same = 0
  while (same < one.length && one[same] === other[same]) same += 1
  const from = same > 9 ? same : 0
  const [first, second] = [one, other].map((text) => `\`${from > 0 ? '…' : ''}${text.slice(from, from + 60)}\``)
  return say`${first} in the first and ${second} in the second`
}

/** What apps of this context call the definitions that they use. */
export const modelNames = new WeakMap<object, string>()

function assertSame(key: string, before: Definition, definition: Definition): void {
  const differs = differing(before, definition)
  const [first] = differs
  if (first === undefined) return
  const { name } = definition
  const [one, other] = [modelNames.get(before), modelNames.get(definition)]
  if (one !== undefined && other !== undefined)
    throw new AlreadyRunningError(
      name,
      say`Two apps of one name in this context define '${key}' differently: as '${one}', which came first, and as '${other}'.${__DEV__ ? say` If a dev server ran the module again after an edit, give the app 'hot: import.meta.hot': then newer code takes over.` : ''} Otherwise make one app and import it, or rename one of the two models.`,
    )
  throw new DefinitionChangedError(
    name,
    say`Two definitions of '${key}' are in use in this context, and they differ in ${differs.join(', ')}${__DEV__ ? say`: ${first} is ${excerpts(textOf(partsOf(before)[first]), textOf(partsOf(definition)[first]))}` : ''}. Only the first would make rows. Rename the second, raise its version, or stop and close what uses the first.`,
  )
}

/** Where the definitions of a store's context are. */
const definitionsOf = (parts: StoreInternals): Map<string, InUse> =>
  getOrMake(definitions, parts.medium === 'memory' ? parts : notInMemory, () => new Map())

/** Where rows are. Logs on servers may have one name, in two schemas or databases, and each has an id of its own. */
const placeOf = (store: string, parts: StoreInternals, key: string): string =>
  `${parts.medium === 'server' ? `${parts.log} ` : ''}${databaseName(store, key)}`

/** What was left open over a store that was closed makes no rows any more. */
const isInUse = (used: InUse | undefined): used is InUse =>
  used !== undefined && ![...used.users].every((closed) => closed())

/** Whether this context runs or reads what has that key. */
export const isUsed = (store: string, parts: StoreInternals, key: string): boolean =>
  isInUse(definitionsOf(parts).get(placeOf(store, parts, key)))

/**
 * Takes a share in a definition, until it is given back. Another object is the same definition if its tables, filter
 * and the text of its functions are the same: a module may be evaluated twice.
 *
 * @throws DefinitionChangedError if another definition is in use under that name
 */
export function useDefinition(
  store: string,
  parts: StoreInternals,
  definition: Projection | Projector<never>,
): { readonly waiting: Listeners<[]>; release(): void } {
  const key = isDefinition(definition) ? projectionKey(definition) : definition.name
  const all = definitionsOf(parts)
  const id = placeOf(store, parts, key)
  const known = all.get(id)
  const used: InUse = isInUse(known) ? known : { definition, users: new Set(), waiting: listenerSet() }
  const { users, waiting } = used
  assertSame(key, used.definition, definition)
  const user = () => closedError(parts)
  all.set(id, used)
  users.add(user)
  waiting.tell()
  return {
    waiting,
    release() {
      users.delete(user)
      if (users.size === 0 && all.get(id) === used) all.delete(id)
    },
  }
}
