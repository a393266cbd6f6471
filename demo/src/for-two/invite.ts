/** How a second device gets onto the board: a link, and a second window that plays one. */
import { button } from '../button.js'
import { byId, h } from '../dom.js'
import { notify } from '../notice.js'
import { findServer } from './operator.js'
import { deviceHere, linkTo } from './place.js'

export function mountInvite(boardId: string): void {
  const link = h('a', { class: 'address' })
  const words = h('p', { class: 'hint' })
  const copy = button({
    label: 'Copy the link',
    action: async () => {
      // Missing where the page came over plain HTTP from another machine.
      if (navigator.clipboard === undefined) return notify('This browser lets no page copy here. Copy it by hand.')
      await navigator.clipboard.writeText(link.href)
      notify('Copied. Open it on the other device.', 'fine', byId('link'))
    },
  })
  byId('link').append(
    h('h2', { id: 'link-title' }, 'A second device'),
    h('p', { class: 'where' }, link),
    words,
    h(
      'div',
      { class: 'pairs' },
      copy,
      h(
        'a',
        { class: 'button', href: linkTo(boardId, location.href, deviceHere() + 1), target: '_blank', rel: 'noopener' },
        'Play one here',
      ),
    ),
    h('p', { class: 'hint' }, 'A window that plays a device has storage of its own, as a phone would.'),
  )
  tell([])

  function tell(addresses: readonly string[]): void {
    const [base = location.origin] = addresses
    link.href = linkTo(boardId, base)
    // Where it is broken first, if it is longer than its line.
    const [place = '', board = ''] = link.href.split(/(?=#)/)
    if (link.textContent !== link.href) link.replaceChildren(place, h('wbr', {}), board)
    const isLoopback = /^(?:localhost|127\.|\[::1\])/.test(new URL(base).host)
    words.replaceChildren(
      ...(isLoopback
        ? [
            'For another browser or profile on this computer. A phone on the same network can join if you start the demo with ',
            h('code', {}, 'npm run demo -- --host'),
            '.',
          ]
        : ['For a phone on the same network, or another browser. All who have the link can change the board.']),
    )
  }
  void findServer()
    .then((server) => server && tell(server.addresses))
    .catch(() => {})
}
