/** Events at which the handler throws: sent on purpose, set aside or stopped at, and applied after all. */
import { button } from './button.js'
import { byId, h, perFrame, say, segments } from './dom.js'
import type { Store } from './flights.js'
import { inBackground, messageOf, notify } from './notice.js'
import { count, counted } from './numbers.js'
import type { Running, Session } from './session.js'
import { shared } from './shared.js'

type Letter = ReturnType<Running['deadLetters']> extends AsyncIterable<infer L> ? L : never

/** How many dead letters are listed. */
const listed = 20

export function mountFailures(store: Store, session: Session): void {
  const policy = segments(
    'What becomes of an event at which the handler throws',
    'policy',
    [
      ['park', 'Set aside'],
      ['hold', 'Hold its stream'],
      ['stop', 'Stop there'],
    ],
    shared.policy,
    (chosen) => session.handle({ policy: chosen }),
  )
  const fixed = h('input', {
    type: 'checkbox',
    id: 'fixed',
    role: 'switch',
    change: () => {
      session.handle({ fixed: fixed.checked })
      notify(
        !fixed.checked
          ? 'The handler throws at a landing without a destination again.'
          : `The handler copes with a landing without a destination now.${found.length > 0 ? ' Replay what was set aside.' : ''}`,
      )
    },
  })
  const poison = button({ label: 'Send a poison event', action: sendPoison })
  const letters = h('ul', { class: 'dead-letters' })
  const summary = h('p', { class: 'hint' })

  byId('panel').append(
    h(
      'div',
      { class: 'group' },
      h('div', { class: 'head' }, h('h3', {}, 'When the handler throws'), policy),
      h(
        'div',
        { class: 'buttons' },
        poison,
        h('label', { class: 'switch', for: 'fixed' }, fixed, h('span', {}, 'Handler fixed')),
      ),
      summary,
      letters,
    ),
  )

  function render(): void {
    fixed.checked = shared.fixed
    for (const input of policy.querySelectorAll('input')) input.checked = input.value === shared.policy
  }

  async function sendPoison(): Promise<void> {
    const { position } = await store.append('landings-unknown', {
      type: 'FlightLanded',
      data: { origin: 'SEA', destination: null, distance: 0, delay: 40, date: new Date().toISOString() },
    })
    const stored = `A landing without a destination was stored at position ${count(position)}.`
    const { running } = session
    if (running === undefined) return notify(`${stored} The projection is stopped in this tab.`)
    const problem = await running.caughtUp(position, { timeout: 3000 }).then(
      () => undefined,
      (error: unknown) => error,
    )
    await list()
    if (running.status.getSnapshot().phase === 'faulted') {
      notify(
        `${stored} The projection stopped there. Skip the event, or fix the handler and try again.`,
        'trouble',
        byId('reason').nextElementSibling,
      )
    } else if (problem !== undefined) notify(`${stored} ${messageOf(problem)}`, 'trouble')
    else if (found.some((letter) => letter.position === position && letter.attempts === 0))
      notify(
        `${stored} An event of its stream is set aside, so it waits behind that one, and the board continues.`,
        'trouble',
        letters.lastElementChild,
      )
    else if (found.some((letter) => letter.position === position))
      notify(
        `${stored} The handler threw at it, so it was set aside, and the board continues.`,
        'trouble',
        letters.lastElementChild,
      )
    else notify(`${stored} The handler coped with it: one landing more.`)
  }

  /** What was set aside, as this tab last read it. */
  let found: readonly Letter[] = []
  let reading = Promise.resolve()
  const list = () => (reading = reading.then(readLetters, readLetters))
  const listSoon = perFrame(() => inBackground(list()), 300)

  async function readLetters(): Promise<void> {
    const { running } = session
    const next: Letter[] = []
    if (running !== undefined) {
      for await (const letter of running.deadLetters()) {
        next.push(letter)
        if (next.length === listed) break
      }
    }
    if (running !== session.running) return
    found = next
    say(
      summary,
      running === undefined
        ? 'The projection is stopped in this tab, which cannot say what was set aside.'
        : found.length === 0
          ? 'Nothing is set aside. A poison event is a landing without a destination, at which the handler throws until it is fixed.'
          : `${counted(found.length, 'event')} set aside.`,
    )
    const drawn = found.map(({ position, attempts }) => `${position}:${attempts}`).join()
    if (letters.dataset['drawn'] === drawn) return
    letters.dataset['drawn'] = drawn
    letters.replaceChildren(...found.map(item))
  }

  function item(letter: Letter): HTMLLIElement {
    const { position } = letter
    return h(
      'li',
      {},
      h(
        'p',
        {},
        h('strong', {}, letter.eventType),
        ` at ${count(position)}, ${letter.attempts === 0 ? 'not tried' : letter.attempts === 1 ? 'tried once' : `tried ${letter.attempts} times`}`,
      ),
      h('p', { class: 'message' }, `${letter.errorName}: ${letter.message}`),
      h(
        'div',
        { class: 'buttons' },
        button({ label: 'Replay', name: `Replay the event at ${count(position)}`, action: () => replay(letter) }),
        button({
          label: 'Discard',
          name: `Discard the event at ${count(position)}`,
          action: async () => {
            await letter.discard()
            await settled(`The event at ${count(position)} stays in the log, and off the board.`)
          },
        }),
      ),
    )
  }

  async function replay(letter: Letter): Promise<void> {
    try {
      await letter.replay()
    } catch (error) {
      notify(
        shared.fixed
          ? `Not yet: ${messageOf(error)}`
          : `The handler threw again: ${messageOf(error)}. The event stays set aside; switch on “Handler fixed” first.`,
        'trouble',
      )
      return
    }
    await settled(`The event at ${count(letter.position)} was applied. It counts once.`)
  }

  /** The dead letter and its buttons are gone: the focus goes to what is next. */
  async function settled(words: string): Promise<void> {
    await list()
    notify(words)
    if (document.activeElement === document.body)
      (letters.querySelector('button') ?? poison).focus({ preventScroll: true })
  }

  let seen = ''
  const follow = () => {
    const status = session.running?.status.getSnapshot()
    const now =
      status === undefined ? 'stopped' : `${session.version}:${status.deadLetterCount}:${status.phase === 'starting'}`
    if (now !== seen) listSoon()
    seen = now
  }
  const renderSoon = perFrame(render)
  session.subscribe(() => {
    renderSoon()
    follow()
  })
  render()
  follow()
}
