// How rows come to a fold: those that a page of events touches together, not one by one.
import { expect, test } from 'vitest'
import { openEventStore } from 'tidemark/memory'
import { defineEvents, defineProjection, table, type RecordedEvent } from 'tidemark'
import { settle } from '../../../src/projection/config.js'
import { newRun } from '../../../src/projection/batching.js'
import { runMachine } from '../../../src/projection/runner.js'
import { MemoryReadModels } from '../../../src/read-model/memory/memory-storage.js'
import { readModelTarget } from '../../../src/running/read-model-target.js'

type Event = { type: 'Counted'; data: { name: string } }
const count = 16_000
const events = defineEvents<Event>()

test(
  'a commit in the middle of a page does not make rows of the rest be read one by one',
  { timeout: 30_000 },
  async () => {
    const store = await openEventStore({ name: 'reads-of-rows', events })
    // Scattered, so that no key is known to come after the last one.
    await store.append({
      stream: 's',
      events: Array.from({ length: count }, (_, at) => ({
        type: 'Counted' as const,
        data: { name: `row-${String((at * 7_919) % count).padStart(5, '0')}` },
      })),
    })
    const definition = defineProjection(events, {
      name: 'counts',
      tables: { counts: table<{ name: string; seen: number }>({ key: 'name' }) },
      fold: {
        counts: {
          key: (event: RecordedEvent<Event>) => event.data.name,
          evolve: (row, { data }) => ({ name: data.name, seen: (row?.seen ?? 0) + 1 }),
        },
      },
    })
    const asked = { single: 0, together: 0 }
    const storage = await new MemoryReadModels().open(definition as never, 'log')
    const counting = new Proxy(storage, {
      get(target, name) {
        if (name === 'rows') {
          return (...given: Parameters<typeof target.rows>) => {
            asked[given[2].length === 1 ? 'single' : 'together'] += 1
            return target.rows(...given)
          }
        }
        const value = Reflect.get(target, name) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const target = readModelTarget(definition as never, counting, {
      head: () => store.head(),
      event: () => Promise.reject(new Error('not asked for')),
      committed() {},
      changed() {},
    })
    // More rows than are remembered as all there are, and an end that is none of a page.
    const settings = settle({ batch: { maxEvents: 11_000, maxTime: 60_000 } }, 'batch')
    const result = await runMachine(
      { target: target as never, ports: { reader: store as never }, settings, owner: 'a', run: newRun(), report() {} },
      new AbortController().signal,
    )
    expect(result).toMatchObject({ applied: count, reason: 'caught-up' })
    expect(asked.single).toBe(0)
    expect(asked.together).toBeGreaterThan(0)
    await store.close()
  },
)
