import { expect, test } from 'vitest'
import { abortWith } from '../../../src/platform/abort-with.js'

test('a controller is aborted with the first signal, and its reason', () => {
  const [first, second, own] = [new AbortController(), new AbortController(), new AbortController()]
  abortWith(own, undefined, first.signal, second.signal)
  second.abort('why')
  first.abort('too late')
  expect(own.signal.reason).toBe('why')
})

test('one that is aborted already does so immediately', () => {
  const own = new AbortController()
  abortWith(own, undefined, AbortSignal.abort('before'))
  expect(own.signal.reason).toBe('before')
})

test('after undoing it, the signals do nothing, and keep no listener', () => {
  const [outer, own] = [new AbortController(), new AbortController()]
  const added: unknown[] = []
  const add = outer.signal.addEventListener.bind(outer.signal)
  const remove = outer.signal.removeEventListener.bind(outer.signal)
  outer.signal.addEventListener = (type: string, listener: any) => (added.push(listener), add(type, listener))
  outer.signal.removeEventListener = (type: string, listener: any) => {
    added.splice(added.indexOf(listener), 1)
    remove(type, listener)
  }
  const undo = abortWith(own, outer.signal)
  expect(added).toHaveLength(1)
  undo()
  expect(added).toHaveLength(0)
  outer.abort()
  expect(own.signal.aborted).toBe(false)
})
