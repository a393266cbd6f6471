/** The server, as its operator sees it: stop and start it, back it up, restore the backup. */
import { button } from '../button.js'
import { byId, h, say } from '../dom.js'
import { notify } from '../notice.js'
import { count, counted } from '../numbers.js'
import { operate, stateOf, type OperatorAct, type LogState } from './operator.js'

/** How often the page looks what the operator on another device did, ms. */
const interval = 1000

export function mountServerPanel(boardId: string): void {
  let state: LogState | undefined
  const facts = { state: fact('Server'), log: fact('Events'), backup: fact('Backup') }
  const words = h('p', { class: 'hint', role: 'status' })
  const power = button({ label: 'Stop the server', action: () => act(state?.running ? 'stop' : 'start') })
  const backUp = button({ label: 'Back up now', action: () => act('back-up') })
  const restore = button({ label: 'Restore the backup', action: () => act('restore') })
  byId('server').append(
    h('h2', { id: 'server-title' }, 'The server'),
    h('dl', { class: 'facts' }, ...Object.values(facts).map(({ element }) => element)),
    words,
    power,
    h('div', { class: 'pairs' }, backUp, restore),
    h('p', { class: 'hint' }, 'You are its operator here, on every device, also in airplane mode.'),
  )

  const told: Readonly<Record<OperatorAct, (before: LogState) => string>> = {
    stop: () =>
      'The server is gone, and no request under way got its response. The devices work on, and what they do waits.',
    start: () => 'The server is back, and reads its log from its file. Devices find it at their next try.',
    'back-up': ({ head }) => `Backed up, up to position ${count(head)}.`,
    restore: ({ head, backup }) => {
      const lost = Math.max(0, head - (backup?.head ?? 0))
      return lost === 0
        ? 'Restored. The server had nothing to lose.'
        : `Restored: the server forgot ${counted(lost, 'event')}. Devices notice it within half a minute, or with “Sync now”, and give back what they had.`
    },
  }

  async function act(what: OperatorAct): Promise<void> {
    const before = await stateOf(boardId)
    show(await operate(boardId, what))
    notify(told[what](before), 'fine', byId('server'))
  }

  function show(next: LogState | undefined): void {
    state = next
    const { running = false, head = 0, backup } = next ?? {}
    facts.state.set(next === undefined ? 'away' : running ? 'runs' : 'stopped')
    facts.log.set(next === undefined ? '–' : count(head))
    facts.backup.set(backup === undefined ? '–' : `at ${count(backup.head)}`)
    say(power, running ? 'Stop the server' : 'Start the server')
    power.classList.toggle('primary', next !== undefined && !running)
    const away = next === undefined ? 'The demo itself does not run: start it with npm run demo.' : null
    const stopped = away ?? (running ? null : 'Start the server first.')
    power.allow(away)
    backUp.allow(stopped)
    restore.allow(away ?? (backup === undefined ? 'Make a backup first.' : null))
    say(
      words,
      next === undefined
        ? 'The demo does not run any more. This board works without it.'
        : running
          ? 'Keeps one log of events, in one file. It decides what is stored, in which order.'
          : 'Stopped. Requests get no response, as if it had crashed.',
    )
  }

  async function look(): Promise<void> {
    if (document.visibilityState === 'visible') show(await stateOf(boardId).catch(() => undefined))
    setTimeout(() => void look(), interval)
  }
  void look()
}

function fact(name: string) {
  const value = h('dd', {}, '–')
  return { element: h('div', {}, h('dt', {}, name), value), set: (text: string) => say(value, text) }
}
