// A run whose checkpoint cannot be loaded at first has not begun.
import { expect, test } from 'vitest'
import { driveTarget } from '../../../src/projection/leadership.js'
import { PlainTarget } from '../../../src/projection/plain.js'
import { fakeBackend } from './fake-backend.js'

const failOnce = (backend: ReturnType<typeof fakeBackend>, stored: number) => {
  let failing = true
  const checkpoints = {
    ...backend.checkpoints,
    load: async () => {
      if (failing) throw Object.assign(new Error('disk'), { code: 'storage-failed' })
      return stored
    },
    save: async (_: string, position: number) => void (stored = position),
  }
  return { checkpoints: checkpoints as never, works: () => void (failing = false) }
}

test('a run that is aborted while its first load fails returns the stored position', async () => {
  const backend = fakeBackend()
  backend.append(9)
  const { checkpoints, works } = failOnce(backend, 7)
  const controller = new AbortController()
  const config = { mode: 'continuous' as const, signal: controller.signal, clock: backend.clock }
  const running = driveTarget(new PlainTarget({ name: 'p', apply() {} }, checkpoints, {}), backend, config, {
    mode: 'batch',
    owner: 'x',
  })
  await backend.clock.advance(50)
  works()
  controller.abort()
  expect(await backend.clock.runUntil(running)).toMatchObject({ position: 7, reason: 'aborted' })
})

test('the budget of a run counts from the first load that worked', async () => {
  const backend = fakeBackend()
  backend.append(2000)
  await backend.clock.advance(60_000)
  const { checkpoints, works } = failOnce(backend, 0)
  let presence: 'visible' | 'away' = 'visible'
  const listeners = new Set<(p: never) => void>()
  const lifecycle = {
    presence: () => presence,
    subscribe: (l: (p: never) => void) => (listeners.add(l), () => listeners.delete(l)),
  }
  const goes = (to: 'visible' | 'away') => {
    presence = to
    for (const each of [...listeners]) each(to as never)
  }
  const config = {
    mode: 'continuous' as const,
    clock: backend.clock,
    budget: { maxTime: 10_000 },
    batch: { maxEvents: 10 },
  }
  const running = driveTarget(
    new PlainTarget({ name: 'p', apply() {} }, checkpoints, {}),
    { ...backend, lifecycle } as never,
    config,
    { mode: 'batch', owner: 'x' },
  )
  await backend.clock.advance(50)
  works()
  goes('away')
  await backend.clock.advance(50)
  goes('visible')
  const result = await backend.clock.runUntil(running)
  expect(result).toMatchObject({ position: 2000 })
})
