/** The commands of the model test: what fast-check strings together, and what is checked after each. */
import fc from 'fast-check'
import { deleteEventStore } from 'tidemark'
import { databaseExists, inject, openConnections, takeAway, type Fault } from '../inject-faults.js'
import { explain, isStorageFailure, type Outcome, type Told } from './explain.js'
import { HintChannel } from './hint-channel.js'
import { appending, settle, type Operation, type Plan } from './operations.js'
import { letTimePass, type Model, type World } from './world.js'

export type LogCommand = fc.AsyncCommand<Model, World>

/** Errors of an append that the log decided, not the storage. */
const decided = ['version-conflict', 'condition-failed', 'invalid-event', 'invalid-argument']

const settled = (promise: Promise<unknown>): Promise<Outcome> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
const show = (value: unknown) => JSON.stringify(value)
const tell = (outcome: Outcome) =>
  'value' in outcome
    ? show(outcome.value)
    : `${String(outcome.error)} ${show(outcome.error)} cause: ${String((outcome.error as Error).cause)}`

function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what)
}

function command(name: string, run: (model: Model, world: World) => Promise<void>): LogCommand {
  return { check: () => true, run, toString: () => name }
}

/** Operations that are started together, while faults are armed. */
export function together(plans: readonly Plan[], faults: readonly Fault[], retryOn: 0 | 1): LogCommand {
  return command(`${show(plans)} with ${show(faults)}`, async (model, world) => {
    if (faults.some((fault) => fault.kind === 'database gone')) await world.prepareSpare()
    const operations = plans.map((plan) => settle(plan, model))
    const injection = inject(faults, world.spareDatabase)
    const told = await perform(operations, world).finally(() => injection.stop())
    // What was disturbed too often gives up for a while, also where nothing is wrong any more.
    if (faults.length > 0) letTimePass()
    if (injection.gone) {
      // What was answered before that moment is as good as any; what came after must be an error.
      const late = told.filter(
        ({ outcome }) => 'error' in outcome && !decided.includes((outcome.error as { code: string }).code),
      )
      checkRefusals(late, true)
      return startAnew(model, world, [0, 1])
    }
    await adopt(told, injection.fired, model, world)
    for (const { operation, outcome } of told) await retryUnknown(operation, outcome, retryOn, model, world)
  })
}

const perform = (operations: readonly Operation[], world: World): Promise<Told[]> =>
  Promise.all(
    operations.map(async (operation) => ({
      operation,
      outcome: await settled(operation.start(world.stores[operation.on])),
    })),
  )

/** Takes the log over into the model as it is found, if that can be explained. */
async function adopt(told: readonly Told[], mayFail: boolean, model: Model, world: World): Promise<void> {
  const found = await world.observe()
  const explained = explain(model.log, told, found, mayFail)
  assert(
    explained !== undefined,
    `Nothing explains this.\nBefore: ${show(model.log)}\nTold:   ${told.map(({ outcome }) => tell(outcome)).join('\n        ')}\nFound:  ${show(found)}`,
  )
  model.log = explained
  assert(openConnections(world.database) <= 2, 'An instance holds more than one connection (I8)')
}

/** What an instance whose database went away must answer: that it is lost, or a fault that came first. */
function checkRefusals(told: readonly Told[], mayFail: boolean): void {
  for (const { operation, outcome } of told) {
    assert('error' in outcome, `A lost instance answered ${tell(outcome)}`)
    const { code, outcome: written } = outcome.error as { code?: unknown; outcome?: unknown }
    const lost = code === 'storage-lost' && written === 'not-written'
    // Refused before the storage was asked.
    const invalid = operation.append !== undefined && decided.slice(2).includes(code as string)
    assert(
      lost || invalid || (mayFail && isStorageFailure(outcome.error, operation.append !== undefined)),
      `A lost instance answered ${tell(outcome)}`,
    )
  }
}

/** After the database went away: instances that go on must refuse, must not make a new one, and can be opened anew. */
async function startAnew(model: Model, world: World, ongoing: readonly (0 | 1)[]): Promise<void> {
  model.log = []
  const existed = await databaseExists(world.database)
  const writes = [{ stream: 's', expectedVersion: 'any', events: [{ type: 'A', serial: 0, id: undefined }] }] as const
  checkRefusals(
    await perform(
      ongoing.map((on) => appending(on, { writes })),
      world,
    ),
    false,
  )
  assert(existed || !(await databaseExists(world.database)), 'A lost instance made a new database (H31)')
  for (const on of ongoing) await world.reopen(on)
  await adopt([], false, model, world)
}

/** An append of given ids whose outcome is unknown is stored once by a retry, from whichever tab (H17). */
async function retryUnknown(
  operation: Operation,
  outcome: Outcome,
  on: 0 | 1,
  model: Model,
  world: World,
): Promise<void> {
  const { append } = operation
  if (append === undefined || 'value' in outcome || (outcome.error as { outcome?: unknown }).outcome !== 'unknown')
    return
  if (append.writes.some(({ events }) => events.some(({ id }) => id === undefined))) return
  await adopt(await perform([appending(on, append)], world), false, model, world)
}

/** Closes an instance and opens it again, while faults are armed; what fails must work at the second try (H27). */
export function reopen(on: 0 | 1, faults: readonly Fault[]): LogCommand {
  return command(`reopen ${on} with ${show(faults)}`, async (model, world) => {
    await world.stores[on].close()
    const refused = await settled(world.stores[on].head())
    assert(
      'error' in refused && (refused.error as { code?: unknown }).code === 'closed',
      `A closed instance answered ${tell(refused)}`,
    )
    const injection = inject(faults)
    const opened = await settled(world.reopen(on)).finally(() => injection.stop())
    if ('error' in opened) {
      assert(injection.fired && isStorageFailure(opened.error, true), `Opening failed: ${tell(opened)}`)
      await world.reopen(on)
    }
    await adopt([], false, model, world)
  })
}

/**
 * The database goes away: another tab deletes it, with a word to all, or the browser clears it away without one, and
 * somebody may have made a new one before the instances notice (H31).
 */
export function lose(how: 'deleted' | 'cleared' | 'replaced' | 'cleared, and opened anew by one'): LogCommand {
  return command(how, async (model, world) => {
    if (how === 'replaced') await world.prepareSpare()
    if (how === 'deleted') await deleteEventStore(world.name)
    else takeAway(world.database, how === 'replaced' ? world.spareDatabase : undefined)
    const renewed = how === 'cleared, and opened anew by one'
    if (renewed) await world.reopen(0)
    await startAnew(model, world, renewed ? [1] : [0, 1])
  })
}

/** The hints that wait arrive, or are lost (H66). */
export function hints(arrive: boolean): LogCommand {
  return command(arrive ? 'deliver the hints' : 'lose the hints', async () => {
    if (arrive) HintChannel.deliver()
    else HintChannel.lose()
  })
}
