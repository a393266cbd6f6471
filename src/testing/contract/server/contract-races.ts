/** Several pushes together: one at a time for each log. */
import { equal, ok } from '../assert.js'
import { needs } from '../contract-case.js'
import { commit, ContractClient, event, verdictOf, type AddServerCase } from './contract-client.js'

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

export function raceCases(add: AddServerCase): void {
  processes(add)
  add('pushes at the same time leave no holes, and lose nothing', async (subject) => {
    const devices = upTo(10).map((n) => deviceOf(subject, n))
    await Promise.all(
      devices.map(async (device, n) => {
        for (let m = 0; m < 5; m += 1)
          await device.push({ events: [event(`${n}-${m}-a`), event(`${n}-${m}-b`, { stream: `t${n}` })] })
      }),
    )
    const events = await (devices[0] as ContractClient).all()
    equal(
      events.map(({ position }) => position),
      upTo(100),
      'the positions',
    )
    equal(
      events.filter(({ stream }) => stream === 's').map(({ version }) => version),
      upTo(50),
      'the versions',
    )
    equal(new Set(events.map(({ id }) => id)).size, 100, 'the number of ids')
  })

  add('a commit that is sent several times at the same time is stored once', async (subject) => {
    for (let round = 0; round < 5; round += 1) {
      const ids = [`${round}-a`, `${round}-b`]
      const answers = await Promise.all(upTo(8).map((n) => deviceOf(subject, n).pushOne(commit(ids))))
      equal(new Set(answers.map((answer) => JSON.stringify(answer))).size, 1, 'the number of different verdicts')
      equal(verdictOf(answers[0]), 'accepted', 'the answer')
    }
    equal((await new ContractClient(subject).ids()).length, 10, 'the events')
  })

  add('of commits that expect the same event, one is stored', async (subject) => {
    let last: string | null = null
    for (let round = 0; round < 8; round += 1) {
      const expect: { s: string | null } = { s: last }
      const answers = await Promise.all(
        upTo(6).map((n) => deviceOf(subject, n).pushOne(commit(`${round}-${n}`, { expect }))),
      )
      const accepted = answers.filter((answer) => 'accepted' in answer)
      equal(answers.map(verdictOf).toSorted(), ['accepted', ...Array<string>(5).fill('conflict')], 'the verdicts')
      last = accepted[0]?.id ?? null
    }
    equal((await new ContractClient(subject).ids()).length, 8, 'the events')
  })

  add('of a commit and its cancel one comes first, and both verdicts say so', async (subject) => {
    const seen = new Set<string>()
    for (let round = 0; round < 20; round += 1) {
      const [one, two] = [deviceOf(subject, 1), deviceOf(subject, 2)].map(
        (_, n) => new ContractClient(subject, 'anna', n === 0 ? subject.url : (subject.anotherUrl ?? subject.url)),
      ) as [ContractClient, ContractClient]
      const id = `x${round}`
      const push = () => one.pushOne(commit(id))
      const cancel = () => two.cancel(id)
      const [first, second] = await Promise.all(round % 2 === 0 ? [push(), cancel()] : [cancel(), push()])
      equal(verdictOf(first), verdictOf(second), 'both verdicts')
      const isStored = (await one.ids()).includes(id)
      equal(isStored, verdictOf(first) === 'accepted', 'whether it is in the log')
      seen.add(verdictOf(first))
    }
    ok(seen.size > 0, 'an outcome')
  })

  add('a commit that was refused is not stored by a repeat that comes at the same time', async (subject) => {
    for (let round = 0; round < 10; round += 1) {
      const anna = new ContractClient(subject)
      const id = `x${round}`
      const before = await anna.ids()
      const on = { expect: { s: (before.at(-1) ?? null) as string | null } }
      const [one, two] = await Promise.all([
        anna.pushOne(commit(id, on)),
        anna.pushOne(commit(id, on)),
        new ContractClient(subject, 'bert', subject.anotherUrl ?? subject.url).push(commit(`y${round}`)),
      ])
      equal(verdictOf(one), verdictOf(two), 'both verdicts')
      const isStored = (await anna.ids()).filter((each) => each === id).length
      equal(isStored, verdictOf(one) === 'accepted' ? 1 : 0, 'how often it is in the log')
    }
  })
}

function processes(add: AddServerCase): void {
  add('what one process has stored, another knows at the next request', async (subject) => {
    needs(subject, 'anotherUrl')
    const [one, other] = [new ContractClient(subject), new ContractClient(subject, 'anna', subject.anotherUrl)]
    equal(await one.log(), await other.log(), 'log and epoch')
    for (let n = 0; n < 10; n += 1) {
      const [first, second] = n % 2 === 0 ? [one, other] : [other, one]
      equal(await first.pushOne(commit(`x${n}`)), { id: `x${n}`, accepted: 2 * n + 1 }, 'a commit by way of one')
      equal(verdictOf(await first.pushOne(commit(`y${n}`, { expect: { s: null } }))), 'conflict', 'a conflict')
      equal(verdictOf(await second.pushOne(commit(`y${n}`))), 'conflict', 'the same verdict by way of the other')
      const on = { expect: { s: `x${n}` } }
      equal(await second.pushOne(commit(`z${n}`, on)), { id: `z${n}`, accepted: 2 * n + 2 }, 'what was decided on it')
      equal(await first.pull(), await second.pull(), 'both logs')
    }
  })
}

/** Every second one goes by way of the other process. */
function deviceOf(subject: ConstructorParameters<typeof ContractClient>[0], n: number): ContractClient {
  return new ContractClient(subject, `author ${n}`, n % 2 === 0 ? (subject.anotherUrl ?? subject.url) : subject.url)
}
