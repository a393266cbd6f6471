import { openEventStore } from 'tidemark'
import { deposit, streamCount } from '../../cases/workload.js'
import { openDatabase } from '../../raw/database.js'
import { recordPerCommit, writerOf } from '../../raw/layouts.js'

const marks: Record<string, number> = {}
const wrap = (target: any, name: string, before: string, after?: string) => {
  const original = target[name]
  target[name] = function (...args: unknown[]) {
    marks[before] = performance.now()
    const answer = original.apply(this, args)
    if (after !== undefined) marks[after] = performance.now()
    return answer
  }
}
wrap(IDBDatabase.prototype, 'transaction', '1 until transaction()', '2 transaction()')
wrap(IDBObjectStore.prototype, 'add', '3 until add()', '4 add()')
wrap(IDBTransaction.prototype, 'commit', '5 until commit()', '6 commit()')
const d = Object.getOwnPropertyDescriptor(IDBTransaction.prototype, 'oncomplete')!
Object.defineProperty(IDBTransaction.prototype, 'oncomplete', {
  ...d,
  set(f) {
    d.set!.call(this, (e: Event) => {
      marks['8 until complete'] = performance.now()
      f(e)
    })
  },
})
const os = Object.getOwnPropertyDescriptor(IDBRequest.prototype, 'onsuccess')!
void os
const order = ['1 until transaction()','2 transaction()','3 until add()','4 add()','5 until commit()','6 commit()','7 until the next task','8 until complete','9 until resolved']
Object.assign(window, {
  bench: true,
  async experiment({ rounds = 40, each = 50 }) {
    const write = writerOf(recordPerCommit, await openDatabase('r' + Math.random(), recordPerCommit.create))
    const store = await openEventStore({ name: 's' + Math.random(), durability: 'relaxed' })
    const versions = new Map<string, number>()
    const contenders: Record<string, (n: number) => Promise<unknown>> = {
      raw: (n) => write([deposit(n)]),
      lib: (n) => {
        const { stream, type, data } = deposit(n)
        const version = versions.get(stream) ?? 0
        versions.set(stream, version + 1)
        return store.append([{ stream, expectedVersion: version, events: [{ type, data }] }])
      },
    }
    const times: Record<string, number[]> = {}
    let at = 0
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, append] of Object.entries(contenders)) {
        for (let n = 0; n < (round === 0 ? streamCount : each); n += 1) {
          for (const k in marks) delete marks[k]
          const channel = new MessageChannel()
          channel.port1.onmessage = () => { marks['7 until the next task'] ??= performance.now(); channel.port1.close() }
          let last = performance.now()
          const p = append(at + n)
          channel.port2.postMessage(1)
          await p
          marks['9 until resolved'] = performance.now()
          if (round > 0)
            for (const k of order) {
              const t = marks[k] ?? last
              ;(times[`${name}: ${k}`] ??= []).push(t - last)
              last = Math.max(t, last)
            }
        }
      }
      at += round === 0 ? streamCount : each
    }
    return times
  },
})
