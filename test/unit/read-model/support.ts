import { defineEvents, defineProjection, table, type RecordedEvent, type FailureStrategy } from 'tidemark'
export type Event = { type: 'Added'; data: { to: string; amount: number } } | { type: 'Other'; data: null }
export const events = defineEvents<Event>()
export const added = (to = 'a', amount = 1) => ({ type: 'Added' as const, data: { to, amount } })
export interface Row { name: string; total: number; seen: readonly number[] }
export const model = (options: { handler?: (event: RecordedEvent<Event>) => unknown; onError?: (n: number) => FailureStrategy; version?: number } = {}) =>
  defineProjection(events, {
    name: 'model', version: options.version ?? 1,
    tables: { rows: table<Row>({ key: 'name' }) },
    on: {
      Added: async (event, { rows }) => {
        await options.handler?.(event)
        const { to, amount } = event.data
        await rows.update(to, (row) => ({ name: to, total: (row?.total ?? 0) + amount, seen: [...(row?.seen ?? []), event.position] }))
      },
    },
    onError: ({ retryCount }) => options.onError?.(retryCount) ?? 'fatal',
  })
export const settledWithin = async (promise: Promise<unknown>, ms: number): Promise<'settled' | 'pending'> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<'pending'>((resolve) => { timer = setTimeout(() => resolve('pending'), ms) })
  return Promise.race([promise.then(() => 'settled' as const, () => 'settled' as const), late]).finally(() => clearTimeout(timer))
}
export const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
let n = 0
export const newName = () => `review-${(n += 1)}-${Math.random()}`
