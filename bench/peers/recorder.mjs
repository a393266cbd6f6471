// What every peer has to give an event before it can be stored.

/** @param {number} head of the log */
export function recorder(head = 0) {
  const versions = new Map()
  return ({ stream, type, data }) => {
    const version = (versions.get(stream) ?? 0) + 1
    versions.set(stream, version)
    return { position: (head += 1), stream, version, type, id: crypto.randomUUID(), time: Date.now(), data }
  }
}

/** The customers that events touch, each once. */
export const customersOf = (events) => [...new Set(events.map(({ data }) => data.customer))]
