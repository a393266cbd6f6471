// What the one status of an app says of many.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ProjectionStatus } from 'tidemark'
import { appStatus, notOpen } from '../../../src/app/app-status.js'
import { nothingKnown } from '../../../src/running/status-keeper.js'

type Phase = ProjectionStatus['phase']
const at = (phase: Phase, behind = 0, more: Partial<ProjectionStatus> = {}): ProjectionStatus => ({
  ...nothingKnown,
  phase,
  behind,
  ...more,
})

test.for<[Phase, number, Partial<ProjectionStatus>, string]>([
  ['starting', 0, {}, 'opening'],
  ['live', 0, { leader: true }, 'live'],
  ['standby', 0, {}, 'live'],
  ['standby', 3, {}, 'behind'],
  ['catching-up', 3, { leader: true }, 'behind'],
  ['catching-up', 0, { rebuilding: { position: 2 } }, 'behind'],
  ['standby', 0, { rebuilding: { position: 2 } }, 'behind'],
  ['retrying', 0, {}, 'behind'],
  ['stalled', 3, {}, 'stalled'],
  ['not-running', 3, {}, 'stalled'],
  ['standby', 0, { rebuildFault: { position: 1, message: 'x', time: 0 } }, 'stalled'],
  ['starting', 0, { rebuildFault: { position: 1, message: 'x', time: 0 } }, 'opening'],
  ['catching-up', 0, { rebuildFault: { position: 1, message: 'x', time: 0 }, rebuilding: { position: 0 } }, 'behind'],
  ['paused', 0, {}, 'stalled'],
  ['faulted', 3, {}, 'stalled'],
  ['stopped', 0, {}, 'stalled'],
])("'%s', %i behind, %o: '%s'", ([phase, behind, more, expected]) => {
  expect(appStatus({ only: at(phase, behind, more) }).phase).toBe(expected)
})

test('an app without models is live, and one that is not open says why', () => {
  expect(appStatus({})).toEqual({ phase: 'live', behind: 0, models: {} })
  const error = new Error('no disk')
  const models = { a: nothingKnown }
  expect(notOpen('failed', models, error)).toEqual({ phase: 'failed', behind: 0, message: 'no disk', error, models })
  expect(notOpen('idle', models)).toEqual({ phase: 'idle', behind: 0, models })
})

test('the worst model is named, with its message and error; of several, the one that is farthest behind', () => {
  const fault = new Error('x')
  const models = {
    fine: at('live', 0, { leader: true }),
    late: at('catching-up', 90),
    paused: at('paused', 5, { message: 'paused' }),
    faulted: at('faulted', 7, { message: 'stopped at 3', lastError: fault }),
  }
  expect(appStatus(models)).toEqual({
    phase: 'stalled',
    behind: 7,
    model: 'faulted',
    message: 'stopped at 3',
    error: fault,
    models,
  })
  expect(appStatus({ fine: models.fine, late: models.late })).toMatchObject({
    phase: 'behind',
    model: 'late',
    behind: 90,
  })
  expect(appStatus({ fine: models.fine })).toEqual({ phase: 'live', behind: 0, models: { fine: models.fine } })
})

test('plain projectors count, and are not listed as models', () => {
  const models = { fine: at('live') }
  const status = appStatus(models, { mailer: at('faulted', 2) })
  expect(status).toMatchObject({ phase: 'stalled', model: 'mailer', behind: 2 })
  expect(status.models).toBe(models)
})

const phases: readonly Phase[] = [
  'starting',
  'standby',
  'catching-up',
  'live',
  'retrying',
  'stalled',
  'not-running',
  'paused',
  'faulted',
  'stopped',
]
test('no model is worse than the status of the app, and its order does not matter', () => {
  const order = ['live', 'behind', 'opening', 'stalled']
  const status = fc.record({ phase: fc.constantFrom(...phases), behind: fc.nat(5) })
  fc.assert(
    fc.property(fc.array(status, { minLength: 1, maxLength: 6 }), (all) => {
      const entries = all.map(({ phase, behind }, index) => [`m${index}`, at(phase, behind)] as const)
      const one = appStatus(Object.fromEntries(entries))
      const other = appStatus(Object.fromEntries([...entries].reverse()))
      expect([other.phase, other.behind]).toEqual([one.phase, one.behind])
      for (const [, each] of entries)
        expect(order.indexOf(appStatus({ each }).phase)).toBeLessThanOrEqual(order.indexOf(one.phase))
      const worst = entries.find(([name]) => name === one.model)
      if (one.model !== undefined) expect(worst?.[1].behind).toBe(one.behind)
    }),
  )
})
