/** The page without a board: begins one, if there is a server. */
import { button } from '../button.js'
import { byId, h, say } from '../dom.js'
import { findServer } from './operator.js'
import { lastRoom, linkTo, newRoom } from './place.js'

export async function mountBegin(): Promise<void> {
  const section = byId('begin')
  const title = h('h2', { id: 'begin-title' }, 'Share a board')
  const text = h('p', {}, 'You get a link. Whoever opens it has the same board: another browser, or a phone.')
  const start = button({ label: 'Start a shared board', class: 'primary', action: () => open(newRoom()) })
  const last = lastRoom()
  const again = button({ label: 'Open the last one', action: () => last !== null && open(last) })
  again.hidden = last === null
  const actions = h('div', { class: 'actions' }, start, again)
  section.append(h('div', { class: 'words' }, title, text), actions)
  section.dataset['state'] = 'empty'
  section.hidden = false
  if (location.hash.length > 1) say(text, 'The link is incomplete. You can start a board of your own instead.')

  // Without a network a board can be begun all the same; a copy without a server will never have one.
  const isThere = await findServer().then(
    (server) => server !== undefined,
    () => true,
  )
  if (isThere) return
  say(title, 'No sync server here')
  say(
    text,
    'This copy of the demo is served as files alone. Run it on your computer with npm run demo, which starts a sync server with it.',
  )
  start.hidden = true
}

function open(room: string): void {
  location.assign(linkTo(room, location.href))
  location.reload()
}
