/** Puts the public record into the log: in commits of 200, abortable, and safe to repeat. */
import flightsUrl from 'vega-datasets/data/flights-20k.json?url'
import { byId, count, h, messageOf, notify, say } from './dom.js'
import type { FlightEvent, Store } from './flights.js'

interface FlightRecord {
  readonly date: string
  readonly delay: number
  readonly distance: number
  readonly origin: string
  readonly destination: string
}

const perCommit = 200

interface Progress {
  readonly done: number
  readonly of: number
  /** Flights that an earlier load had stored already. */
  readonly already: number
}

/**
 * Every flight has an id made of its place in the record, so a commit that is in the log already is recognised and not
 * stored twice: loading again after a stop, a reload or a crash goes on where it ended.
 */
async function loadFlights(store: Store, signal: AbortSignal, onProgress: (progress: Progress) => void): Promise<Progress> {
  const response = await fetch(flightsUrl, { signal })
  if (!response.ok) throw new Error(`The flights could not be read (${response.status})`)
  const flights = (await response.json()) as FlightRecord[]

  let progress: Progress = { done: 0, of: flights.length, already: 0 }
  for (let start = 0; start < flights.length; start += perCommit) {
    const commit = flights.slice(start, start + perCommit).map(({ date, delay, distance, origin, destination }, index) => {
      const number = String(start + index + 1).padStart(5, '0')
      const event: FlightEvent & { id: string } = {
        type: 'FlightLanded',
        id: `vega-${number}`,
        data: { origin, destination, distance, delay, date },
      }
      return { stream: `flight-${number}`, events: [event] }
    })
    // Relaxed: what a power cut takes away can be loaded again.
    const { duplicate } = await store.append(commit, { signal, durability: 'relaxed' })
    progress = {
      done: start + commit.length,
      of: flights.length,
      already: progress.already + (duplicate ? commit.length : 0),
    }
    onProgress(progress)
  }
  return progress
}

export function mountLoad(store: Store): void {
  const section = byId('load')
  const title = h('h2', { id: 'load-title' }, 'The log is empty')
  const text = h('p', {}, 'Load the landings of 20,000 real flights. They are stored as events, and the board grows from them.')
  const bar = h('progress', { max: 1, value: 0, 'aria-labelledby': 'load-title', hidden: true })
  const figure = h('span', { class: 'figure' })
  const start = h('button', { class: 'primary', type: 'button', click: () => void run() }, 'Load 20,000 flights')
  const stop = h('button', { type: 'button', hidden: true, click: () => abort?.abort() }, 'Stop')
  section.append(h('div', { class: 'words' }, title, text), h('div', { class: 'actions' }, start, stop, figure), bar)

  let abort: AbortController | undefined

  async function run(): Promise<void> {
    abort = new AbortController()
    const hadFocus = document.activeElement === start
    start.hidden = true
    stop.hidden = bar.hidden = false
    if (hadFocus) stop.focus()
    section.dataset['state'] = 'loading'
    say(title, 'Loading flights')
    say(text, 'In commits of 200. You can stop, reload or close the tab; nothing is stored twice.')
    const began = performance.now()
    try {
      const { done, already } = await loadFlights(store, abort.signal, (progress) => {
        bar.max = progress.of
        bar.value = progress.done
        say(figure, `${count(progress.done)} of ${count(progress.of)}`)
      })
      const seconds = ((performance.now() - began) / 1000).toFixed(1)
      notify(
        already === 0 ? `${count(done)} flights stored in ${seconds} s.`
        : already === done ? `All ${count(done)} flights were in the log already. Nothing was stored twice.`
        : `${count(done - already)} flights stored in ${seconds} s; ${count(already)} were in the log already.`,
      )
      settle('complete')
    } catch (error) {
      if (abort.signal.aborted) {
        notify('Loading stopped. What was committed stays.')
        settle('partial')
      } else {
        notify(`Loading failed: ${messageOf(error)}`, 'trouble')
        settle('partial')
      }
    }
    if (document.activeElement === stop || document.activeElement === document.body) start.focus({ preventScroll: true })
  }

  function settle(state: 'empty' | 'partial' | 'complete'): void {
    section.dataset['state'] = state
    start.hidden = false
    stop.hidden = true
    bar.hidden = state !== 'partial'
    start.classList.toggle('primary', state !== 'complete')
    say(title, state === 'complete' ? 'Flights loaded' : state === 'partial' ? 'Partly loaded' : 'The log is empty')
    say(
      text,
      state === 'complete' ? 'All 20,000 landings are in the log. Load again to see that none is stored twice.'
      : state === 'partial' ? 'Go on, and what is there already is recognised by its event ids.'
      : 'Load the landings of 20,000 real flights. They are stored as events, and the board grows from them.',
    )
    say(start, state === 'complete' ? 'Load again' : state === 'partial' ? 'Go on loading' : 'Load 20,000 flights')
    if (state === 'complete') say(figure, '')
  }

  settle('empty')
  void (async () => {
    if ((await store.streamVersion('flight-20000')) > 0) settle('complete')
    else if ((await store.streamVersion('flight-00001')) > 0) settle('partial')
  })().catch((error: unknown) => notify(messageOf(error), 'trouble'))
}
