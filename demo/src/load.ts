/** Puts the public record into the log: abortable, safe to repeat, and shown in every tab. */
import { byId, h, perFrame, say } from './dom.js'
import { button } from './button.js'
import type { Store } from './flights.js'
import { inBackground, messageOf, notify } from './notice.js'
import { count } from './numbers.js'
import { flightsInRecord, isComplete, loadRecord, lookUp, type Loaded, type LoadResult } from './record.js'
import { loadLock, type TabWatch } from './tabs.js'

type Phase = 'empty' | 'loading' | 'elsewhere' | 'partial' | 'complete'

const titles: Readonly<Record<Phase, string>> = {
  empty: 'The log is empty',
  loading: 'Loading flights',
  elsewhere: 'Loading flights in another tab',
  partial: 'Partly loaded',
  complete: 'All flights are in the log',
}
const texts: Readonly<Record<Phase, string>> = {
  empty:
    'Load the landings of 20,000 real flights, January to March 2001. They are stored as events, and the board grows from them.',
  loading: 'One commit for each day. Stop, reload or close the tab as you like: nothing is stored twice.',
  elsewhere: 'This tab shows how far it is.',
  partial: 'Continue from the last day; what is there already is recognised by its event ids.',
  complete: 'Load them again to see that none is stored twice.',
}
const labels: Readonly<Record<Phase, string>> = {
  empty: 'Load 20,000 flights',
  loading: '',
  elsewhere: '',
  partial: 'Continue loading',
  complete: 'Load again',
}

export async function mountLoad(store: Store, tabs: TabWatch): Promise<void> {
  const section = byId('load')
  const title = h('h2', { id: 'load-title' })
  const text = h('p')
  const bar = h('progress', { max: flightsInRecord, value: 0, 'aria-labelledby': 'load-title' })
  const figure = h('p', { class: 'figure' })
  const start = button({ label: '', action: run })
  const stop = button({ label: 'Stop', action: () => abort?.abort() })

  let abort: AbortController | undefined
  let loaded: Loaded = await lookUp(store)
  section.append(h('div', { class: 'words' }, title, text), h('div', { class: 'actions' }, start, stop), bar, figure)
  /** It loads here, or did: then it keeps its place on the page when it is done. */
  let openHere = false
  /** What the load that runs in this tab, or in another one, has come to; again from the start when it is repeated. */
  let progress: Loaded | undefined
  /** A tab that loads says how far it is: looking into the log all the time would hold it up. */
  const channel = new BroadcastChannel(loadLock)
  const renderSoon = perFrame(render)

  const phaseNow = (): Phase => {
    const { loader } = tabs.getSnapshot()
    return abort !== undefined
      ? 'loading'
      : loader !== undefined && !loader.isThis
        ? 'elsewhere'
        : isComplete(loaded)
          ? 'complete'
          : loaded.days > 0
            ? 'partial'
            : 'empty'
  }

  function render(): void {
    const phase = phaseNow()
    section.dataset['state'] = phase === 'complete' && openHere ? 'done' : phase
    say(title, titles[phase])
    say(text, texts[phase])
    say(start, labels[phase])
    const focused = document.activeElement
    start.hidden = phase === 'loading' || phase === 'elsewhere'
    stop.hidden = phase !== 'loading'
    // The button that had the focus gives way to the other one.
    if (focused === start && start.hidden && !stop.hidden) stop.focus({ preventScroll: true })
    if (focused === stop && stop.hidden && !start.hidden) start.focus({ preventScroll: true })
    start.classList.toggle('primary', phase !== 'complete')
    const { flights, until } = (phase === 'loading' || phase === 'elsewhere' ? progress : undefined) ?? loaded
    bar.hidden = figure.hidden = phase === 'empty' || (phase === 'complete' && !openHere)
    bar.value = flights
    say(figure, `${count(flights)} of ${count(flightsInRecord)}${until === undefined ? '' : `, until ${until}`}`)
  }

  async function run(): Promise<void> {
    const began = performance.now()
    const controller = new AbortController()
    try {
      const result = await navigator.locks.request(loadLock, { ifAvailable: true }, (lock) => {
        if (lock === null) return undefined
        abort = controller
        openHere = true
        renderSoon()
        return loadRecord(store, loaded, controller.signal, (done) => {
          progress = done
          channel.postMessage(done)
          renderSoon()
        })
      })
      notify(
        result === undefined ? 'Another tab is loading already.' : describe(result, (performance.now() - began) / 1000),
      )
    } catch (error) {
      if (controller.signal.aborted) notify('Loading stopped. What was committed stays.')
      else notify(`Loading failed: ${messageOf(error)}`, 'trouble')
    } finally {
      await settle()
      abort = undefined
      await tabs.refresh()
      render()
    }
  }

  const describe = ({ stored, already }: LoadResult, seconds: number) =>
    already === 0
      ? `${count(stored)} flights stored in ${seconds.toFixed(1)} s.`
      : stored === 0
        ? `All ${count(already)} flights were in the log already. Nothing was stored twice.`
        : `${count(stored)} flights stored in ${seconds.toFixed(1)} s; ${count(already)} of the last day were there already.`

  /** Looks what a load, here or in another tab, has left behind: all of it, or what came before a stop or a crash. */
  async function settle(): Promise<void> {
    const seen = await lookUp(store, loaded)
    if (seen.days > loaded.days) loaded = seen
    progress = undefined
    renderSoon()
  }

  let loadedElsewhere = false
  tabs.subscribe(() => {
    const elsewhere = phaseNow() === 'elsewhere'
    if (loadedElsewhere && !elsewhere) inBackground(settle())
    loadedElsewhere = elsewhere
    renderSoon()
  })
  channel.onmessage = ({ data }: MessageEvent<Loaded>) => {
    if (abort !== undefined) return
    progress = data
    renderSoon()
    void tabs.refresh().catch(() => {})
  }
  render()
}
