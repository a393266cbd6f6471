/** What the server refused: what it was, why, and what the visitor can do about it. */
import { button } from '../button.js'
import { byId, h } from '../dom.js'
import { notify } from '../notice.js'
import type { OwnCommit } from './device.js'
import { wordsOf, type BoardEvent, type GateRow } from './flight-board.js'

const eventsOf = ({ events }: OwnCommit) => events as readonly BoardEvent[]
const whatOf = (commit: OwnCommit) => eventsOf(commit).map(wordsOf).join('. ')

/** Why, in the words of the board. */
function whyOf(commit: OwnCommit, gates: readonly GateRow[]): string {
  const { code, message } = commit.refusal ?? { code: '', message: '' }
  if (code === 'conflict') {
    const [gate] = eventsOf(commit).flatMap(({ data }) => ('gate' in data ? [data.gate] : []))
    const holder = gates.find((row) => row.gate === gate)?.flight
    return holder
      ? `Another device was first: gate ${gate} went to ${holder} before this reached the server.`
      : `Another device was first: gate ${gate} is not as this device had seen it.`
  }
  if (code === 'blocked') return 'It was decided on another change of this device, which was refused.'
  return message
}

export function mountRefusals() {
  const section = byId('refused')
  const list = h('ul')
  section.append(h('h2', { id: 'refused-title' }, 'Refused by the server'), list)

  let commits: readonly OwnCommit[] = []
  let gates: readonly GateRow[] = []

  function render(): void {
    // In the middle of it the focus would be lost, and a button that is under way.
    const drawn = JSON.stringify(commits.map((commit) => [commit.id, whatOf(commit), whyOf(commit, gates)]))
    if (list.dataset['drawn'] === drawn) return
    list.dataset['drawn'] = drawn
    const hadFocus = section.contains(document.activeElement)
    list.replaceChildren(...commits.map(card))
    section.hidden = commits.length === 0
    if (hadFocus) (section.hidden ? byId('board') : section).focus({ preventScroll: true })
  }

  function card(commit: OwnCommit): HTMLLIElement {
    const what = whatOf(commit)
    const isConflict = commit.refusal?.code === 'conflict'
    const again = isConflict ? 'Do it all the same' : 'Try again'
    return h(
      'li',
      {},
      h('h3', {}, what),
      h('p', {}, whyOf(commit, gates)),
      h(
        'div',
        { class: 'buttons' },
        button({
          label: again,
          name: `${again}: ${what}`,
          action: async () => {
            await commit.retry()
            notify(
              isConflict ? `${what}: sent again, whatever the other device did.` : `${what}: sent again.`,
              'fine',
              byId('board'),
            )
          },
        }),
        button({
          label: 'Discard',
          name: `Discard: ${what}`,
          action: async () => {
            await commit.discard()
            notify(`${what}: discarded. The board shows what the server has.`, 'fine', byId('board'))
          },
        }),
      ),
    )
  }

  return {
    show(rows: readonly GateRow[]): void {
      gates = rows
      render()
    },
    showOutbox(outbox: readonly OwnCommit[]): void {
      commits = outbox.filter(({ status }) => status === 'refused')
      render()
    },
  }
}
