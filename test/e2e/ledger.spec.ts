// A short run of the kill ledger, and its honesty: what it would not report it could not vouch for. See docs/ledger.md.
import { audit } from '../ledger/audit.js'
import type { LedgerPage } from '../ledger/browser.js'
import { chromiumOn } from '../ledger/chromium.js'
import { collectEvidence } from '../ledger/evidence.js'
import { planRound, type KillWeights, type PlannedBatch } from '../ledger/plan.js'
import { playRound } from '../ledger/round.js'
import { acknowledgeEarly, blindTheFence, doubleEffect, leadBesideOthers, loseRecords } from '../ledger/sabotage.js'
import { databases, Stage } from '../ledger/stage.js'
import { enter, leave, write } from '../ledger/workload.js'
import { expect, onOneStorage, test, type Engine } from '../support/e2e.js'

/** Rounds of the short run, which share a profile. */
const rounds = 10
const seed = 2026

const stageOn = (engine: Engine, baseURL: string | undefined) => Stage.open(chromiumOn(engine), `${baseURL}/`)

test.describe('the short run', () => {
  test.describe.configure({ mode: 'serial', timeout: 180_000 })
  let stage: Stage | undefined
  test.afterAll(() => stage?.close())

  for (let round = 0; round < rounds; round += 1) {
    test(`H19, I1–I8: round ${round} of the kill ledger finds every acknowledged event, and every effect once`, async ({
      engine,
      baseURL,
    }) => {
      stage ??= await stageOn(engine, baseURL)
      const plan = planRound(seed, round, stage.engine.kills)
      const { violations, head, how } = await playRound(stage, plan)
      expect(violations, `seed ${seed}, ${how}`).toEqual([])
      if (round === rounds - 1) {
        expect(head).toBeGreaterThan(0)
        expect(stage.account.acknowledged.length).toBeGreaterThan(0)
        await stage.engine.assertStorage(stage.profile, stage.url)
      }
    })
  }
})

test.describe('honesty', onOneStorage, () => {
  test.describe.configure({ timeout: 120_000 })
  const onlyWorkers: KillWeights = [['dedicated worker', 1]]
  /** A round whose kill comes when there is something to lose. */
  const plan = () => ({
    ...planRound(seed, 0, onlyWorkers),
    moment: { after: 'acknowledgements', count: 40, delay: 0 } as const,
  })
  const play = async (engine: Engine, baseURL: string | undefined, sabotage: Parameters<typeof playRound>[2]) => {
    const stage = await stageOn(engine, baseURL)
    try {
      const { violations } = await playRound(stage, plan(), sabotage)
      return new Set(violations.map(({ kind }) => kind))
    } finally {
      await stage.close()
    }
  }

  test('a round without harm finds nothing', async ({ engine, baseURL }) => {
    expect([...(await play(engine, baseURL, {}))]).toEqual([])
  })

  test('H3: appends that are acknowledged early, and whose transaction is then aborted, are reported as lost', async ({
    engine,
    baseURL,
  }) => {
    expect([...(await play(engine, baseURL, { contexts: () => acknowledgeEarly }))]).toContain('lost')
  })

  test('I1, I2: records that are deleted by hand are reported as lost, and as a hole', async ({ engine, baseURL }) => {
    expect([...(await play(engine, baseURL, { databases: loseRecords }))]).toEqual(
      expect.arrayContaining(['lost', 'positions']),
    )
  })

  test('I4: an effect that is doubled by hand is reported', async ({ engine, baseURL }) => {
    expect([...(await play(engine, baseURL, { databases: doubleEffect }))]).toContain('doubled effect')
  })

  test('I4, I6: of two leaders at once the late one is refused, and where its fence is blind the ledger reports wrong rows', async ({
    engine,
    baseURL,
  }) => {
    expect(await twoLeaders(engine, baseURL, false)).toEqual({ late: 'leadership-lost', violations: [] })
    const blind = await twoLeaders(engine, baseURL, true)
    expect(blind.late).toBe('caught-up')
    expect(blind.violations).toContain('rows')
  })
})

/** One leader waits in the middle of its work while another one passes it and goes further; then the first goes on. */
async function twoLeaders(engine: Engine, baseURL: string | undefined, blind: boolean) {
  const stage = await stageOn(engine, baseURL)
  try {
    const page = await stage.openPage()
    const entering = (context: string) =>
      ({
        store: 'ledger',
        durability: 'relaxed',
        receiver: stage.receiver.url,
        profile: stage.profile,
        round: 0,
        context,
      }) as const
    await page.run('page', enter, entering('writer'))
    await page.run('page', write, { batches: batches(0, 20), way: 'turn' })
    for (const realm of ['dedicated:slow', 'dedicated:fast'] as const) {
      await page.run(realm, enter, entering(realm))
      await page.run(realm, leadBesideOthers, undefined)
      if (blind) await page.run(realm, blindTheFence, undefined)
    }
    await page.run('dedicated:slow', stopInTheMiddle, { position: 10 })
    await runToTheHead(page, 'dedicated:fast')
    await page.run('page', write, { batches: batches(20, 40), way: 'turn' })
    await runToTheHead(page, 'dedicated:fast')
    const late = await page.run(
      'dedicated:slow',
      async (_tidemark, _arg, state) => {
        state['goOn']()
        return (await state['running']) as string
      },
      undefined,
    )
    await page.run('page', leave, undefined)
    const { violations } = audit(await page.run('page', collectEvidence, databases), stage.account)
    return { late, violations: violations.map(({ kind }) => kind) }
  } finally {
    await stage.close()
  }
}

const batches = (from: number, to: number): PlannedBatch[] =>
  Array.from({ length: to - from }, (_, index) => ({
    id: `b${from + index}`,
    writes: [{ stream: 's', events: [{ key: `k${(from + index) % 3}`, amount: 1, poison: false }] }],
    checked: false,
    again: false,
    pause: 0,
  }))

/** Starts a run that waits before an event, and answers once it does. */
async function stopInTheMiddle(
  tidemark: any,
  { position }: { position: number },
  state: Record<string, any>,
): Promise<void> {
  const { definition, store } = state
  const gate = new Promise((resolve) => (state['goOn'] = resolve))
  await new Promise<void>((reached) => {
    const on = {
      Counted: async (event: any, tables: any) => {
        if (event.position === position) {
          reached()
          await gate
        }
        return definition.on.Counted(event, tables)
      },
    }
    state['running'] = tidemark.runProjection(store, { ...definition, on }).then(
      ({ reason }: any) => reason,
      (error: any) => error.code,
    )
  })
}

const runToTheHead = (page: LedgerPage, realm: 'dedicated:fast') =>
  page.run(
    realm,
    async (tidemark, _arg: undefined, state) =>
      void (await tidemark.runProjection(state['store'], state['definition'])),
    undefined,
  )
