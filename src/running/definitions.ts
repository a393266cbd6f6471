/**
 * Which definitions are in use in this context: two under one name would share rows, and only one of them would write
 * those.
 */
import { AlreadyRunningError, DefinitionChangedError } from '../errors.js'
import { say } from '../messages.js'
import { databaseName } from '../events/names.js'
import { closedError, type StoreInternals } from '../log/open.js'
import { listenerSet, type Listeners } from '../platform/listeners.js'
import type { Projector } from '../projection/projector.js'
import { isDefinition, projectionKey, type Projection } from '../read-model/define.js'
import { fingerprintOf, handledBy } from '../read-model/fingerprint.js'

/** A definition in use, and everything that uses it. */
export interface InUse {
  readonly definition: Projection | Projector<never>
  /** The store of each. */
  readonly users: StoreInternals[]
  /** Runs that wait after a failure of the storage: a call of the app makes them try again immediately. */
  readonly waiting: Listeners<[]>
}

const notInMemory = new Map<string, InUse>()
const inMemory = new WeakMap<StoreInternals, Map<string, InUse>>()

/** A function as text. Of one that was bound, or made by the engine, there is only its name. */
function textOf(given: () => unknown): string {
  const text = String(given)
  return /\{\s*\[native code\]\s*\}$/.test(text) ? `${given.name}: ${text}` : text
}

type Definition = Projection | Projector<never>

/** What tells one definition from another, part by part, as text. What a handler closes over does not show. */
function partsOf(source: Definition): { readonly [part: string]: string } {
  const parts: Record<string, string> = {}
  const add = (name: string, part: unknown) => {
    if (part !== undefined) parts[name] = typeof part === 'function' ? textOf(part as () => unknown) : String(part)
  }
  add('onFailure', source.onFailure)
  if (!isDefinition(source)) {
    add('apply', source.apply)
    const { types, ...filter } = source.filter ?? {}
    add(
      'filter',
      JSON.stringify({ ...filter, types: Array.isArray(types) ? [...types].sort() : types }, [
        'types',
        'streamPrefix',
        'streamPattern',
      ]),
    )
    return parts
  }
  add('tables', fingerprintOf(source))
  add('filter', handledBy(source))
  for (const [type, handler] of Object.entries(source.on)) add(`on.${type}`, handler)
  for (const [table, { key, evolve }] of Object.entries(
    source.fold as Record<string, { key: unknown; evolve: unknown }>,
  )) {
    add(`fold.${table}.key`, key)
    add(`fold.${table}.evolve`, evolve)
  }
  return parts
}

/** The parts in which two definitions differ. */
function differing(one: Definition, other: Definition): string[] {
  const [there, here] = [partsOf(one), partsOf(other)]
  return Object.keys({ ...there, ...here }).filter((part) => there[part] !== here[part])
}

/** Whether two objects are one definition: the same tables, filter and text of functions. */
export const isSameDefinition = (one: Definition, other: Definition): boolean => differing(one, other).length === 0

/** A definition as text. */
export const definitionText = (definition: Projection): string =>
  JSON.stringify(Object.entries(partsOf(definition)).sort())

/** What two texts are from where they differ on. */
function excerpts(one = 'nothing', other = 'nothing'): string {
  let same = 0
  while (same < one.length && one[same] === other[same]) same += 1
  const from = same > 9 ? same : 0
  const [first, second] = [one, other].map((text) => `\`${from > 0 ? '…' : ''}${text.slice(from, from + 60)}\``)
  return say`${first} in the first and ${second} in the second`
}

/** What apps of this context call the definitions that they use. */
export const modelNames = new WeakMap<object, string>()

function assertSame(store: string, key: string, before: Definition, definition: Definition): void {
  const differs = differing(before, definition)
  const [first] = differs
  if (first === undefined) return
  const { name } = definition
  const [one, other] = [modelNames.get(before), modelNames.get(definition)]
  if (one !== undefined && other !== undefined)
    throw new AlreadyRunningError(
      name,
      say`Two apps called '${store}' in this context define '${key}' differently: as '${one}', which came first, and as '${other}'. Make one app and import it, or rename one of the two.`,
    )
  throw new DefinitionChangedError(
    name,
    say`Two definitions of '${key}' are in use in this context, and they differ in ${differs.join(', ')}${__DEV__ ? say`: ${first} is ${excerpts(partsOf(before)[first], partsOf(definition)[first])}` : ''}. Only the first would make rows. Rename the second, raise its version, or stop and close what uses the first.`,
  )
}

/** Where the definitions of a store's context are. */
function definitionsOf(parts: StoreInternals): Map<string, InUse> {
  if (parts.medium !== 'memory') return notInMemory
  const all = inMemory.get(parts) ?? new Map<string, InUse>()
  inMemory.set(parts, all)
  return all
}

/** Where rows are. Logs on servers may have one name, in two schemas or databases, and each has an id of its own. */
const placeOf = (store: string, parts: StoreInternals, key: string): string =>
  `${parts.medium === 'server' ? `${parts.log} ` : ''}${databaseName(store, key)}`

/** Whether this context runs or reads what has that key. */
export const isUsed = (store: string, parts: StoreInternals, key: string): boolean =>
  definitionsOf(parts)
    .get(placeOf(store, parts, key))
    ?.users.every(closedError) === false

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
  let used = all.get(id)
  // What was left open over a store that was closed makes no rows any more.
  if (used === undefined || used.users.every(closedError))
    all.set(id, (used = { definition, users: [], waiting: listenerSet() }))
  const mine = used
  assertSame(store, key, mine.definition, definition)
  mine.users.push(parts)
  mine.waiting.tell()
  let released = false
  return {
    waiting: mine.waiting,
    release() {
      if (released) return
      released = true
      mine.users.splice(mine.users.indexOf(parts), 1)
      if (mine.users.length === 0 && all.get(id) === mine) all.delete(id)
    },
  }
}
