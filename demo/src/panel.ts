/** What happens underneath: who projects, how far, and what prevents progress. */
import { byId, h, perFrame, say } from './dom.js'
import type { Store } from './flights.js'
import { inBackground } from './notice.js'
import { count, speedometer } from './numbers.js'
import { remedies } from './remedies.js'
import type { Session, Status, View } from './session.js'
import type { Tab, Tabs, TabWatch } from './tabs.js'

type Phase = Status['phase']

/** One word for a phase. That others lead, or that no tab leads, is said above. */
function phaseWord({ phase, behind }: Status): string {
  switch (phase) {
    case 'live':
    case 'catching-up':
      return behind === 0 ? 'live' : 'reading'
    case 'standby':
      return behind === 0 ? 'follows' : 'waits'
    case 'retrying':
      return 'retries'
    default:
      return phase
  }
}

/** Phases in which the reason is an error, and not a wish of the user. */
const failing: ReadonlySet<Phase> = new Set(['retrying', 'stalled', 'faulted'])

function leaderSentence(status: Status | undefined, { leader, all }: Tabs): string {
  const name =
    leader === undefined
      ? 'no tab'
      : leader === 'service worker'
        ? 'the service worker'
        : leader.isThis
          ? 'this tab'
          : `tab ${leader.name}`
  const self = all.find(({ isThis }) => isThis)?.name
  if (status === undefined)
    return leader === undefined ? 'Stopped here, and no tab leads.' : `Stopped here; ${name} leads.`
  if (status.leader)
    return name === 'this tab' || leader === undefined
      ? `This tab, ${self ?? ''}, leads.`
      : `This tab, ${self ?? ''}, works in parallel with ${name}, which does not move.`
  if (status.phase === 'starting') return 'This tab joins …'
  if (status.phase === 'faulted') return 'No tab leads: the projection stopped at an event.'
  if (leader === undefined || name === 'this tab') return 'No tab leads at the moment.'
  return `${name.replace(/^./, (first) => first.toUpperCase())} leads. This is tab ${self ?? ''}.`
}

function chip({ name, isThis, role }: Tab): HTMLLIElement {
  return h(
    'li',
    { 'data-role': role, 'data-this': isThis },
    name,
    h('span', { class: 'hidden' }, ` ${role}${isThis ? ', this tab' : ''}`),
  )
}

export function mountPanel(store: Store, session: Session, tabs: TabWatch): void {
  const lead = h('p', { class: 'lead', role: 'status' })
  const chips = h('ul', { class: 'tabs', 'aria-label': 'Open tabs of the desk' })
  const tide = gauge('How far the board has read the log')
  const facts = {
    position: fact('Position'),
    head: fact('Head'),
    behind: fact('Behind'),
    rate: fact('Events per second'),
    phase: fact('Phase'),
    version: fact('Version'),
  }
  const reason = h('p', { id: 'reason', class: 'reason', role: 'status' })
  const remedy = remedies(session, 'running')

  byId('panel').append(
    h('h2', { id: 'panel-title' }, 'Underneath'),
    h('div', { class: 'who' }, lead, chips),
    tide.element,
    h('dl', { class: 'facts' }, ...Object.values(facts).map(({ element }) => element)),
    reason,
    remedy.element,
  )

  const speed = speedometer()
  let seeAgain: ReturnType<typeof setTimeout> | undefined
  const renderSoon = perFrame(render)

  function render(): void {
    const status = session.running?.status.getSnapshot()
    const now = tabs.getSnapshot()
    say(lead, leaderSentence(status, now))
    const drawn = JSON.stringify(now.all)
    if (chips.dataset['drawn'] !== drawn) {
      chips.dataset['drawn'] = drawn
      chips.replaceChildren(...now.all.map(chip))
    }
    facts.version.set(String(session.version))
    facts.phase.set(status === undefined ? 'stopped' : phaseWord(status))
    say(reason, status === undefined ? '' : reasonOf(status))
    reason.toggleAttribute('data-failing', status !== undefined && failing.has(status.phase))
    tide.fail(status?.phase === 'faulted')
    remedy.render()
    if (status === undefined) inBackground(lookOutside())
    else if (status.phase !== 'starting') level(status.position, status.head, status.rebuilding?.position)
  }

  function level(position: number, head: number, working = position): void {
    facts.position.set(count(position))
    facts.head.set(count(head))
    facts.behind.set(count(Math.max(0, head - position)))
    tide.set(position, head)
    const rate = Math.round(speed(working))
    facts.rate.set(rate === 0 ? '–' : count(rate))
    clearTimeout(seeAgain)
    if (rate > 0) seeAgain = setTimeout(renderSoon, 500)
  }

  /** While stopped here no status tells how far the board is: the view and the log do. */
  async function lookOutside(): Promise<void> {
    const [position, head] = await Promise.all([session.view?.position(), store.head()])
    if (session.running === undefined && position !== undefined) level(position, head)
  }

  /** Tells a tab that was stopped, and so has no status, of commits by others. */
  let watched: View | undefined
  let stopWatching: (() => void) | undefined
  function watchView(): void {
    const view = session.running === undefined ? session.view : undefined
    if (view === watched) return
    stopWatching?.()
    watched = view
    // Reads every table, so that whatever a commit changes is noticed.
    stopWatching = view
      ?.live(async ({ airports, totals, departures, gates }) => [
        await airports.getAll(),
        await totals.getAll(),
        await departures.getAll(),
        await gates.getAll(),
      ])
      .subscribe(renderSoon)
  }

  session.subscribe(() => {
    renderSoon()
    watchView()
    const status = session.running?.status.getSnapshot()
    const role =
      status === undefined ? 'stopped' : status.leader ? 'leads' : status.phase === 'standby' ? 'follows' : undefined
    // What was seen of the locks is old.
    if (role !== undefined && tabs.getSnapshot().all.some((tab) => tab.isThis && tab.role !== role))
      void tabs.refresh().catch(() => {})
  })
  tabs.subscribe(renderSoon)
  store.subscribe(renderSoon)
  renderSoon()
}

function reasonOf({ phase, message }: Status): string {
  return phase === 'paused' ? 'Paused in every tab. Events are stored, and the board waits.' : (message ?? '')
}

/** A level between 0 and the end of the log. */
export function gauge(name: string) {
  const element = h(
    'div',
    { class: 'tide', role: 'meter', 'aria-label': name, 'aria-valuemin': 0, 'aria-valuenow': 0, 'aria-valuemax': 1 },
    h('span', { class: 'water' }),
  )
  return {
    element,
    set(at: number, of: number): void {
      element.setAttribute('aria-valuenow', String(Math.min(at, of)))
      element.setAttribute('aria-valuemax', String(Math.max(of, 1)))
      element.setAttribute('aria-valuetext', `${count(at)} of ${count(of)}`)
      // One event of 20,000 is missing: that must show.
      element.style.setProperty('--level', String(of === 0 ? 0 : at < of ? Math.min(at / of, 0.97) : 1))
    },
    /** Whether it is stuck at an event. */
    fail(failing: boolean): void {
      element.toggleAttribute('data-failing', failing)
    },
  }
}

function fact(name: string) {
  const value = h('dd', {}, '–')
  return { element: h('div', {}, h('dt', {}, name), value), set: (text: string) => say(value, text) }
}
