// What every peer has to give an event before it can be stored.
import { credited } from '../cases/workload.ts'

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

/** What an event of a device has before a server knows it. */
export const identified = ({ stream, type, data }) => ({
  id: crypto.randomUUID(),
  position: 0,
  stream,
  type,
  time: Date.now(),
  data,
})

/** Rows in memory, folded from events in any order. */
export function foldedBy() {
  const rows = new Map()
  return {
    add({ data, position }) {
      const row = credited(rows.get(data.customer), data, position)
      const last = Math.max(rows.get(data.customer)?.last ?? 0, position)
      rows.set(data.customer, { ...row, last })
      return rows.get(data.customer)
    },
    rows: () => [...rows.values()],
  }
}
