/** What to do about a projection that stopped at an event: shown right under the words that say so. */
import { ProjectionFailedError } from 'tidemark'
import { button } from './button.js'
import { byId, h } from './dom.js'
import { notify } from './notice.js'
import { count } from './numbers.js'
import type { Running, Session } from './session.js'

export function remedies(session: Session, which: 'running' | 'building') {
  const troubled = (): Running | undefined => {
    const running = which === 'running' ? session.running : session.building?.running
    return running?.status.getSnapshot().phase === 'faulted' ? running : undefined
  }
  /** For the names of buttons, which are there twice if both stopped. */
  const where = which === 'running' ? '' : ' in the new version'
  const element = h(
    'div',
    { class: 'buttons', hidden: true },
    button({ label: 'Skip the event', name: `Skip the event${where}`, action: skip }),
    button({ label: 'Try again', name: `Try again${where}`, action: tryAgain }),
    which === 'building'
      ? button({ label: 'Give it up', name: 'Give it up, the new version', action: () => session.giveUp() })
      : null,
  )

  async function skip(): Promise<void> {
    const running = troubled()
    const error = running?.status.getSnapshot().lastError
    if (running === undefined || !(error instanceof ProjectionFailedError) || error.position === undefined) return
    await running.skip(error.position)
    notify(
      `The event at ${count(error.position)} stays in the log, and off the board. ${which === 'running' ? 'The projection continues behind it.' : 'The new version continues behind it.'}`,
    )
  }

  async function tryAgain(): Promise<void> {
    const running = troubled()
    await running?.resume()
    // Rejects immediately if the handler threw again.
    await running?.caughtUp(running.status.getSnapshot().head, { timeout: 3000 })
    notify('The handler accepted the event. The projection continues.')
  }

  return {
    element,
    render(): void {
      const hide = troubled() === undefined
      // The button that was pressed is gone: the focus stays near.
      if (hide && element.contains(document.activeElement)) byId('panel').focus({ preventScroll: true })
      element.hidden = hide
    },
  }
}
