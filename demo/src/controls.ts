/** The switches: who projects, and folding everything again. */
import { button } from './button.js'
import { byId, h, perFrame, say } from './dom.js'
import type { ProjectAnswer, ProjectRequest } from './flights.js'
import { notify } from './notice.js'
import { count } from './numbers.js'
import { gauge } from './panel.js'
import { remedies } from './remedies.js'
import type { Session } from './session.js'
import { shared } from './shared.js'
import type { TabWatch } from './tabs.js'

const stoppedHere = 'The projection is stopped in this tab. Start it here first.'

export function mountControls(session: Session, tabs: TabWatch): void {
  const run = button({ label: 'Stop here', action: () => (session.running ? session.stop() : session.start()) })
  const pause = button({
    label: 'Pause everywhere',
    action: async () => {
      const { running } = session
      if (running?.status.getSnapshot().phase === 'paused') await running.resume()
      else await running?.pause()
    },
  })
  const worker = button({ label: 'Use service worker', action: () => askWorker(session) })
  const rebuild = button({
    label: 'Rebuild',
    name: 'Rebuild this version',
    action: () => session.running?.rebuild({ wait: false }),
  })
  const build = button({ label: 'Build version 2', action: () => session.buildNext() })
  const who = h('p', { class: 'hint' })
  const again = h('p', { class: 'hint', role: 'status' })
  const remedy = remedies(session, 'building')
  const built = gauge('How far the new rows are')

  byId('panel').append(
    h(
      'div',
      { class: 'group' },
      h('h3', {}, 'Who projects'),
      h(
        'div',
        { class: 'pairs' },
        run,
        pause,
        h('a', { class: 'button', href: location.pathname, target: '_blank', rel: 'noopener' }, 'Open another tab'),
        worker,
      ),
      who,
    ),
    h(
      'div',
      { class: 'group' },
      h('h3', {}, 'Fold again'),
      h('div', { class: 'pairs' }, rebuild, build),
      again,
      remedy.element,
      built.element,
    ),
  )

  function render(): void {
    const { running, building, version } = session
    const status = running?.status.getSnapshot()
    say(run, running ? 'Stop here' : 'Start here')
    say(pause, status?.phase === 'paused' ? 'Resume' : 'Pause everywhere')
    pause.allow(running ? null : stoppedHere)
    const { leader } = tabs.getSnapshot()
    const led =
      leader === undefined || leader === 'service worker'
        ? null
        : `${leader.isThis ? 'This tab' : `Tab ${leader.name}`} leads, and only one may. Stop the projection in every tab, then the service worker can project.`
    worker.allow(led)
    say(
      who,
      `One tab leads, the others follow, and one of them takes over when it goes away. The service worker projects when no tab leads${led === null ? '' : ': stop the projection in every tab first'}.`,
    )
    const busy = building
      ? `Version ${building.version} is being built already.`
      : status?.rebuilding
        ? 'A rebuild is under way already.'
        : null
    rebuild.allow(running ? busy : stoppedHere)
    build.allow(running ? busy : stoppedHere)
    say(build, `Build version ${version + 1}`)

    const progress = building ? building.running.status.getSnapshot() : status
    const at = building ? progress?.position : status?.rebuilding?.position
    const stuck = building !== undefined && progress?.phase === 'faulted'
    built.element.classList.toggle('idle', at === undefined)
    built.fail(stuck)
    again.toggleAttribute('data-failing', stuck)
    remedy.render()
    if (at !== undefined && progress !== undefined) built.set(at, progress.head)
    say(
      again,
      at === undefined || progress === undefined
        ? `Every event is folded once more, from the first. The board keeps its rows until the new ones are complete.${failed(status?.rebuildFault?.message)}`
        : building && stuck
          ? `Version ${building.version} is stuck, and the board still shows version ${version}. ${progress.message ?? ''}`
          : building
            ? `Version ${building.version}: ${count(at)} of ${count(progress.head)} events. The board still shows version ${version}.`
            : `Rebuilding: ${count(at)} of ${count(progress.head)} events. The board still shows the old rows.`,
    )
  }
  const failed = (why: string | undefined) => (why === undefined ? '' : ` The last rebuild was given up: ${why}`)
  const renderSoon = perFrame(render)
  session.subscribe(renderSoon)
  tabs.subscribe(renderSoon)
  render()
}

/** Longer than the worker's own limit. */
const answerWithin = 15_000

async function askWorker(session: Session): Promise<void> {
  const registration = await navigator.serviceWorker?.getRegistration()
  if (!registration?.active)
    return notify('No service worker is active yet. Reload the page once and ask again.', 'trouble')
  const channel = new MessageChannel()
  const answer = new Promise<ProjectAnswer>((resolve) => {
    channel.port1.onmessage = (event: MessageEvent<ProjectAnswer>) => resolve(event.data)
    setTimeout(
      () => resolve({ ok: false, text: 'The service worker did not respond within fifteen seconds.' }),
      answerWithin,
    )
  })
  const request: ProjectRequest = {
    type: 'project',
    version: session.version,
    fixed: shared.fixed,
    policy: shared.policy,
  }
  registration.active.postMessage(request, [channel.port2])
  const { ok, text } = await answer
  channel.port1.close()
  notify(text, ok ? 'fine' : 'trouble')
}
