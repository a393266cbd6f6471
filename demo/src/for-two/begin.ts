/** The page without a board: begins one, if there is a server. */
import { button } from '../button.js'
import { byId, h, say } from '../dom.js'
import { findServer } from './operator.js'
import { lastBoard, linkTo, newBoard } from './place.js'
import { thingsToTry } from './things-to-try.js'

export async function mountBegin(): Promise<void> {
  const page = byId('begin')
  const title = h('h2', { id: 'begin-title' }, 'Share a board')
  const text = h('p', {}, 'You get a link. Another browser or a phone that opens it has the same board.')
  const start = button({ label: 'Start a shared board', class: 'primary', action: () => open(newBoard()) })
  const last = lastBoard()
  const again = button({ label: 'Open the last one', action: () => last !== null && open(last) })
  again.hidden = last === null
  const actions = h('div', { class: 'actions' }, start, again)
  page.append(
    h(
      'section',
      { class: 'load', 'data-state': 'empty', 'aria-labelledby': 'begin-title' },
      h('div', { class: 'words' }, title, text),
      actions,
    ),
    h('section', { class: 'try', 'aria-labelledby': 'try-title' }, ...thingsToTry()),
  )
  page.hidden = false
  if (location.hash.length > 1) say(text, 'The link is incomplete. You can start a board of your own instead.')

  // Without a network a board can be begun all the same; a copy without a server will never have one.
  const isThere = await findServer().then(
    (server) => server !== undefined,
    () => true,
  )
  if (isThere) return
  say(title, 'No sync server here')
  text.replaceChildren(
    'This copy of the demo is served as files alone. Run it on your computer with ',
    h('code', {}, 'npm run demo'),
    ', which starts a sync server with it.',
  )
  start.hidden = true
}

function open(boardId: string): void {
  location.assign(linkTo(boardId, location.href))
  location.reload()
}
