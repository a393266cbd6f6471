/** Maps that make what they do not hold yet. */

/** The value of a key; made and kept where there is none. */
export function getOrMake<K, V>(
  map: { get(key: K): V | undefined; set(key: K, value: V): unknown },
  key: K,
  make: () => V,
): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}
