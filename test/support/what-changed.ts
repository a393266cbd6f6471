/** Which properties of shared objects, such as the globals, a test file replaced and did not put back. */

type Properties = ReadonlyMap<PropertyKey, PropertyDescriptor>

const propertiesOf = (object: object): Properties =>
  new Map(Reflect.ownKeys(object).map((key) => [key, Object.getOwnPropertyDescriptor(object, key)!]))

/** Node puts many globals in their place when they are first asked for. */
function isSame(object: object, before: PropertyDescriptor, now: PropertyDescriptor): boolean {
  if (before.get === now.get && Object.is(before.value, now.value)) return true
  return before.get !== undefined && now.get === undefined && before.get.call(object) === now.value
}

/** What libraries keep, one for each process. */
const isOfLibrary = (key: PropertyKey) => typeof key === 'symbol' || String(key).startsWith('__')

function differences(object: object, before: Properties): PropertyKey[] {
  const now = propertiesOf(object)
  const replaced = [...before.keys()].filter((key) => {
    const property = now.get(key)
    return property === undefined || !isSame(object, before.get(key)!, property)
  })
  return [...replaced, ...[...now.keys()].filter((key) => !before.has(key) && !isOfLibrary(key))]
}

/** Remembers these objects as they are. The function that it returns names the properties that are not so any more. */
export function rememberAll(objects: ReadonlyMap<string, object>): () => string[] {
  const before = [...objects].map(([name, object]) => ({ name, object, properties: propertiesOf(object) }))
  return () =>
    before.flatMap(({ name, object, properties }) =>
      differences(object, properties).map((key) => `${name}${name && '.'}${String(key)}`),
    )
}

/** The globals, and what each of them has itself and gives to its instances. */
export function globals(): ReadonlyMap<string, object> {
  const found = new Map<string, object>([['', globalThis]])
  for (const [key, { value }] of propertiesOf(globalThis)) {
    const global: unknown = value
    if (isOfLibrary(key) || (typeof global !== 'function' && typeof global !== 'object') || global === null) continue
    if (global !== globalThis) addClass(found, String(key), global)
  }
  return found
}

export function addClass(found: Map<string, object>, name: string, value: object): void {
  found.set(name, value)
  const { prototype } = value as { prototype?: unknown }
  if (typeof prototype === 'object' && prototype !== null) found.set(`${name}.prototype`, prototype)
}
