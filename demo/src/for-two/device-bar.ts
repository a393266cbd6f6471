/** This device: whether it is in step with the server, and the switch that takes it offline. */
import { button } from '../button.js'
import { byId, h, perFrame, say } from '../dom.js'
import { inBackground } from '../notice.js'
import type { Device } from './device.js'
import type { Line } from './line.js'
import { wordsOfStatus, type StatusWords } from './status-words.js'

/** What is over sooner is not worth a word, ms. */
const brief = 400

export function mountDeviceBar(name: string, line: Line) {
  let device: Device | undefined
  const sentence = h('p', { id: 'status', class: 'connection', role: 'status' })
  const next = h('p', { class: 'hint' })
  const now = button({ label: 'Sync now', action: () => device?.app.sync.now() })
  const airplane = h('input', {
    type: 'checkbox',
    role: 'switch',
    id: 'airplane',
    checked: line.airplane,
    change: () => (line.airplane = airplane.checked),
  })
  byId('device').append(
    h('h2', { id: 'device-title' }, name),
    h('label', { class: 'switch', for: 'airplane' }, airplane, 'Airplane mode'),
    h('div', { class: 'words' }, sentence, next),
    now,
  )

  let shown: StatusWords = { sentence: '', state: 'working' }
  let changedAt = 0
  let again: ReturnType<typeof setTimeout> | undefined
  const renderSoon = perFrame(render)

  function render(): void {
    clearTimeout(again)
    airplane.checked = line.airplane
    if (device === undefined) return
    const status = device.app.sync.status.getSnapshot()
    const words = wordsOfStatus(status, line.airplane)
    if (words.sentence !== shown.sentence) {
      // From one state to the next one by way of a moment's work: only where it comes to is said.
      const wait = words.state === 'working' ? (changedAt ||= performance.now()) + brief - performance.now() : 0
      if (wait > 0) again = setTimeout(renderSoon, wait)
      else shown = words
    }
    if (words.state !== 'working') changedAt = 0
    say(sentence, shown.sentence)
    sentence.dataset['state'] = shown.state
    const { nextTry } = status
    const tries =
      !line.airplane && nextTry !== undefined && (status.status === 'offline' || status.status === 'waiting')
    now.allow(line.airplane ? 'This device is in airplane mode: switch it off first.' : null)
    next.hidden = !tries
    if (tries) {
      const seconds = Math.max(0, Math.ceil((nextTry - Date.now()) / 1000))
      say(next, seconds === 0 ? 'Trying …' : `Next try in ${seconds} s.`)
      again ??= setTimeout(renderSoon, 250)
    }
  }

  line.subscribe(() => {
    renderSoon()
    if (!line.airplane && device) inBackground(device.app.sync.now())
  })
  return {
    show(opened: Device): void {
      device = opened
      device.app.sync.status.subscribe(renderSoon)
      render()
    },
  }
}
