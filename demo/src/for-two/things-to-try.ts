/** What a visitor may do to see how devices and server treat each other. */
import { h } from '../dom.js'
import { longestDelay } from './flight-board.js'

const things: readonly (readonly [title: string, text: string])[] = [
  [
    'Go offline',
    'Switch one device to airplane mode, delay the same flight on both, and switch it off again. Both delays count, on both.',
  ],
  [
    'Want the same gate',
    'With both in airplane mode, give gate 1 to two flights. The device that comes back second is refused, and says why. “Any free gate” is never refused while there is one: it is decided again.',
  ],
  [
    'Break a rule',
    `Report a delay of more than ${longestDelay} minutes. The device takes it, and the server does not.`,
  ],
  ['Stop the server', 'Work on with both devices, reload them, and start it again.'],
  [
    'Restore a backup',
    'Back up the server, change something, and restore the backup. The server forgets, and the devices give back what it lost.',
  ],
]

export const thingsToTry = () => [
  h('h2', { id: 'try-title' }, 'Things to try'),
  h('ol', {}, ...things.map(([title, text]) => h('li', {}, h('h3', {}, title), h('p', {}, text)))),
]
