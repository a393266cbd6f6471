/** A server that starts again, and one that was restored from a backup. */
import { headers as names } from '../../../wire/protocol.js'
import { equal, ok } from '../assert.js'
import { needs } from '../contract-case.js'
import { commit, ContractClient, event, verdictOf, type AddServerCase } from './contract-client.js'

export function restoreCases(add: AddServerCase): void {
  add('a server that was started again has everything, refusals too', async (subject) => {
    needs(subject, 'restart')
    const anna = new ContractClient(subject)
    await anna.push(commit(['x', 'y']), commit('z', { expect: { s: null } }))
    await anna.cancel('w')
    const { log } = await anna.info()
    const before = await anna.pull()
    await subject.restart()
    const again = new ContractClient(subject)
    const info = await again.info()
    equal([info.log, info.head], [log, 2], 'log and head')
    const page = await again.pull(before.scannedTo, before.chain)
    equal([page.scannedTo, page.chain], [before.scannedTo, before.chain], 'the page at the cursor of before')
    equal(await again.all(), before.events, 'the log')
    const answers = await again.push(commit(['x', 'y']), commit('z'), commit('w'), commit('v', { requires: ['z'] }))
    equal(answers.map(verdictOf), ['accepted', 'conflict', 'cancelled', 'blocked'], 'the verdicts')
    equal(await again.pushOne(commit('u', { expect: { s: 'y' } })), { id: 'u', accepted: 3 }, 'another commit')
  })

  add(
    'a server that was restored from a backup begins another epoch, and looks at no request of the one before',
    async (subject) => {
      needs(subject, 'backup')
      const anna = new ContractClient(subject)
      await anna.push(commit('a'))
      const restore = await subject.backup()
      await anna.push(commit('b'))
      equal(verdictOf(await anna.cancel('c')), 'cancelled', 'a cancel')
      const before = await anna.info()
      await restore()
      for (const body of [{ commits: [commit('d')] }, { commits: [], cancel: [['e']] }])
        equal(await anna.refusedPush(body), { status: 409, code: 'other-epoch' }, 'a push of the epoch before')
      const late = await anna.send('pull', { set: { [names.log]: await anna.log() } })
      equal(late.status, 409, 'the status of a pull of the epoch before')
      await late.text()
      const after = await anna.info()
      ok(after.log === before.log && after.epoch !== before.epoch, 'the same log in another epoch')
      equal([after.head, await anna.ids()], [1, ['a']], 'the log')
      equal(
        (await anna.push(commit('d'), commit('e'))).map(verdictOf),
        ['accepted', 'accepted'],
        'what was not looked at',
      )
    },
  )

  add('a log that continued otherwise after a restore has other chains, even with the same ids', async (subject) => {
    needs(subject, 'backup')
    const anna = new ContractClient(subject)
    await anna.push(commit('a'))
    const common = await anna.pull()
    const restore = await subject.backup()
    await anna.push(commit('b'), commit('c'))
    const lost = await anna.pull()
    await restore()
    await anna.info()
    equal(
      (await anna.problem(`pull?after=3&chain=${lost.chain}`)).code,
      'diverged',
      'the pull of a device that was ahead',
    )
    await anna.push({ events: [event('b', { data: 'other' })] }, commit('c'))
    const now = await anna.pull()
    ok(now.chain !== lost.chain, 'another chain')
    equal((await anna.problem(`pull?after=3&chain=${lost.chain}`)).code, 'diverged', 'the same pull later')
    const page = await anna.pull(common.scannedTo, common.chain)
    equal(
      page.events.map(({ data }) => data),
      ['other', { id: 'c' }],
      'what is behind the common part',
    )
  })
}
