/** What happens underneath: who projects, how far, what failed, and the switches to try it all. */
import { byId, count, h, messageOf, notify, perFrame, say } from './dom.js'
import type { ProjectAnswer, ProjectRequest, Store } from './flights.js'
import { shared, type Running, type Session } from './session.js'

type Status = ReturnType<Running['status']['getSnapshot']>
type Letter = ReturnType<Running['deadLetters']> extends AsyncIterable<infer L> ? L : never

const leaderOf = ({ leader, phase }: Status): 'self' | 'other' | 'none' =>
  leader ? 'self' : phase === 'waiting-for-leader' || phase === 'live' ? 'other' : 'none'
const leaderWords = { self: 'This tab', other: 'Another tab', none: 'Nobody' } as const

const phaseWords: Readonly<Record<string, string>> = { 'catching-up': 'reading', 'waiting-for-leader': 'follows', retrying: 'retries' }

export function mountPanel(store: Store, session: Session): void {
  const lead = h('p', { class: 'lead', role: 'status' })
  const tide = h('div', { class: 'tide', role: 'meter', 'aria-label': 'How far the board has read the log', 'aria-valuemin': 0 }, h('span', { class: 'water' }))
  const position = fact('Position')
  const head = fact('Head')
  const behind = fact('Behind')
  const rate = fact('Rate')
  const phase = fact('Phase')
  const version = fact('Version')
  const fault = h('p', { class: 'fault', role: 'alert', hidden: true })

  const next = h('div', { class: 'next', hidden: true })
  const nextWords = h('p', { role: 'status' })
  const nextTide = h('div', { class: 'tide', role: 'meter', 'aria-label': 'How far the next version is built', 'aria-valuemin': 0 }, h('span', { class: 'water' }))
  next.append(nextWords, nextTide)

  const run = button('Stop here', async () => {
    if (session.running) await session.stop()
    else session.start()
  })
  const pause = button('Pause', async () => {
    const { running } = session
    if (running === undefined) return
    if (running.status.getSnapshot().phase === 'paused') await running.resume()
    else await running.pause()
  })
  const rebuild = button('Rebuild', () => session.rebuild())
  const worker = button('Project in the service worker', askWorker)
  worker.classList.add('wide')
  const poison = button('Send a poison event', sendPoison)
  const fixed = h('input', {
    type: 'checkbox', id: 'fixed', role: 'switch',
    change: () => {
      session.setFixed(fixed.checked)
      notify(fixed.checked ? 'The handler copes with the poison now. Replay what was set aside.' : 'The handler throws at the poison again.')
    },
  })

  const letters = h('ul', { class: 'letters' })
  const noLetters = h('p', { class: 'hint' }, 'None. A poison event makes the handler throw; it is set aside, and the rest goes on.')
  const lettersTitle = h('h3', {}, 'Set aside')

  byId('panel').append(
    h('h2', { id: 'panel-title' }, 'Underneath'),
    lead, tide,
    h('dl', { class: 'facts' }, ...[position, head, behind, rate, phase, version].map((item) => item.element)),
    fault, next,
    h('div', { class: 'buttons' },
      run, pause, h('a', { class: 'button', href: location.pathname, target: '_blank', rel: 'noopener' }, 'Open a second tab'),
      rebuild, worker),
    h('div', { class: 'trouble-maker' },
      lettersTitle, noLetters, letters,
      h('div', { class: 'buttons' }, poison, h('label', { class: 'switch', for: 'fixed' }, fixed, h('span', {}, 'Handler fixed')))),
  )

  let unsubscribe: (() => void)[] = []
  /** How far the read model is, seen through a query that every event of the desk changes; for a tab that is stopped. */
  let seenThroughView: (() => number) | undefined
  const renderSoon = perFrame(render)

  function follow(): void {
    for (const end of unsubscribe) end()
    unsubscribe = [session.running, session.building?.running]
      .filter((running) => running !== undefined)
      .map((running) => running.status.subscribe(renderSoon))
    seenThroughView = undefined
    if (session.running === undefined && session.view !== undefined) {
      const live = session.view.live(async ({ totals, departures, gates }) => [
        await totals.get('all'), await departures.getAll(), await gates.getAll(),
      ])
      unsubscribe.push(live.subscribe(renderSoon))
      seenThroughView = () => {
        const snapshot = live.getSnapshot()
        return snapshot.state === 'ready' ? snapshot.position : 0
      }
    }
    renderSoon()
    lettersSoon()
  }

  let hadLetters = -1
  function render(): void {
    const { running, building } = session
    const status = running?.status.getSnapshot()
    fixed.checked = shared.fixed
    say(run, running ? 'Stop here' : 'Start here')
    pause.disabled = running === undefined
    say(pause, status?.phase === 'paused' ? 'Resume' : 'Pause')
    rebuild.disabled = building !== undefined
    say(rebuild, `Rebuild as version ${(building?.version ?? session.version + 1)}`)
    version.set(String(session.version))

    if (status === undefined) {
      say(lead, 'Stopped in this tab. Another tab may lead.')
      lead.dataset['leader'] = 'none'
      phase.set('stopped')
      rate.set('–')
      outside().catch((error: unknown) => notify(messageOf(error), 'trouble'))
    } else {
      say(lead, `${leaderWords[leaderOf(status)]} projects.`)
      lead.dataset['leader'] = leaderOf(status)
      phase.set(phaseWords[status.phase] ?? status.phase)
      rate.set(status.rate > 0 ? `${count(status.rate)}/s` : '–')
      level(status.position, status.head)
      const error = status.lastError
      fault.hidden = !error
      if (error) say(fault, messageOf(error))
    }

    next.hidden = building === undefined
    if (building) {
      const { position: at, head: of } = building.running.status.getSnapshot()
      say(nextWords, `Version ${building.version} is being built; the board still shows version ${session.version}.`)
      fillTide(nextTide, at, of)
    }
    lettersSoon()
  }

  function level(at: number, of: number): void {
    position.set(count(at))
    head.set(count(of))
    behind.set(count(Math.max(0, of - at)))
    fillTide(tide, at, of)
  }

  /** While stopped here nobody tells this tab the status: what the view and the log say will do. */
  async function outside(): Promise<void> {
    fault.hidden = true
    const of = await store.head()
    if (session.running === undefined && seenThroughView) level(seenThroughView(), of)
  }
  store.subscribe(() => {
    if (session.running === undefined) renderSoon()
  })

  const lettersSoon = perFrame(() => void listLetters().catch((error: unknown) => notify(messageOf(error), 'trouble')))

  async function listLetters(): Promise<void> {
    const { running } = session
    if (running === undefined) return
    const found: Letter[] = []
    for await (const letter of running.deadLetters()) {
      found.push(letter)
      if (found.length === 20) break
    }
    const key = found.map((letter) => letter.position).join()
    if (letters.dataset['key'] === key) return
    letters.dataset['key'] = key
    noLetters.hidden = found.length > 0
    say(lettersTitle, found.length === 0 ? 'Set aside' : `Set aside: ${found.length}`)
    letters.replaceChildren(...found.map(letterItem))
    if (hadLetters >= 0 && found.length > hadLetters) notify('The handler threw at an event. It was set aside, and the board goes on.', 'trouble')
    hadLetters = found.length
  }

  function letterItem(letter: Letter): HTMLLIElement {
    return h('li', {},
      h('p', {}, h('strong', {}, letter.eventType), ` at ${count(letter.position)} · ${letter.attempts === 1 ? 'tried once' : `tried ${letter.attempts} times`}`),
      h('p', { class: 'message' }, `${letter.errorName}: ${letter.message}`),
      h('div', { class: 'buttons' },
        button('Replay', async () => {
          await letter.retry()
          notify(`The event at ${count(letter.position)} was replayed.`)
          lettersSoon()
        }, `Replay the event at ${letter.position}`),
        button('Discard', async () => {
          await letter.discard()
          notify(`The event at ${count(letter.position)} stays in the log, and off the board.`)
          lettersSoon()
        }, `Discard the event at ${letter.position}`)))
  }

  async function sendPoison(): Promise<void> {
    const { position: at } = await store.append({
      stream: 'flight-unknown',
      events: [{ type: 'FlightLanded', data: { origin: 'SEA', destination: null, distance: 0, delay: 40, date: new Date().toISOString() } }],
    })
    notify(`A landing without a destination was stored at position ${count(at)}.`)
  }

  async function askWorker(): Promise<void> {
    const registration = await navigator.serviceWorker?.getRegistration()
    if (!registration?.active) {
      notify('No service worker is active yet. Reload the page once and ask again.', 'trouble')
      return
    }
    const channel = new MessageChannel()
    const answer = new Promise<ProjectAnswer>((resolve) => {
      channel.port1.onmessage = (event: MessageEvent<ProjectAnswer>) => resolve(event.data)
      setTimeout(() => resolve({ ok: false, text: 'The service worker did not answer within fifteen seconds.' }), 15_000)
    })
    const request: ProjectRequest = { type: 'project', version: session.version, fixed: shared.fixed }
    registration.active.postMessage(request, [channel.port2])
    const { ok, text } = await answer
    channel.port1.close()
    notify(text, ok ? 'fine' : 'trouble')
    renderSoon()
  }

  session.subscribe(follow)
  follow()
}

function button(label: string, action: () => unknown, name?: string): HTMLButtonElement {
  const element: HTMLButtonElement = h('button', {
    type: 'button',
    'aria-label': name,
    click: () => void (async () => {
      element.setAttribute('aria-busy', 'true')
      try {
        await action()
      } catch (error) {
        notify(messageOf(error), 'trouble')
      } finally {
        element.removeAttribute('aria-busy')
      }
    })(),
  }, label)
  return element
}

function fact(name: string) {
  const value = h('dd', {}, '–')
  return { element: h('div', {}, h('dt', {}, name), value), set: (text: string) => say(value, text) }
}

function fillTide(tide: HTMLElement, at: number, of: number): void {
  tide.setAttribute('aria-valuenow', String(at))
  tide.setAttribute('aria-valuemax', String(Math.max(of, 1)))
  tide.setAttribute('aria-valuetext', `${count(at)} of ${count(of)}`)
  tide.style.setProperty('--level', String(of === 0 ? 0 : Math.min(1, at / of)))
}
