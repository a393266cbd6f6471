import '../../shared/todo.css'
import '../../shared/synced-todo.css'
import * as todos from '../../shared/synced-todo'

const find = <E extends HTMLElement>(selector: string) => document.querySelector<E>(selector)!
find('#app').innerHTML = `
  <h1>Things to do together</h1>
  <div class="filters">
    <span></span><button id="other"></button>
    <p role="alert" id="leaving" hidden><span></span> <button id="leave">Leave all the same</button> <button id="stay">Stay</button></p>
  </div>
  <form><input name="title" aria-label="New to-do" placeholder="What is to be done?" autocomplete="off"><button>Add</button></form>
  <p role="alert" id="problem"></p>
  <ul aria-label="To-dos"></ul>
  <ul aria-label="Refused"></ul>
  <footer><p role="status"></p><button>Sync now</button></footer>`

const made = <T extends keyof HTMLElementTagNameMap>(tag: T, props: object, ...inside: HTMLElement[]) => {
  const element = Object.assign(document.createElement(tag), props)
  element.append(...inside)
  return element
}

const { sync } = todos.app
const list = todos.list()
const unsent = todos.unsent()
const refused = sync.liveRefused()

function renderTodos(): void {
  const { data = [], error } = list.getSnapshot()
  const pending = new Set(unsent.getSnapshot().data)
  find('#problem').textContent = String(error ?? '')
  find('[aria-label="To-dos"]').replaceChildren(
    ...data.map((todo) => {
      const checked = todo.state === 'done'
      const onclick = (event: Event) => (event.preventDefault(), void todos.toggle(todo))
      return made(
        'li',
        { className: todo.state },
        made('input', { type: 'checkbox', ariaLabel: todo.title, checked, onclick }),
        made('span', { textContent: todo.title }),
        ...(pending.has(todo.id) ? [made('span', { className: 'dot', role: 'img', ariaLabel: 'Not sent yet' })] : []),
        made('button', { ariaLabel: `Delete ${todo.title}`, onclick: () => todos.remove(todo) }),
      )
    }),
  )
}

/** What the server did not take. It is in no list any more, and must not be lost without a word. */
function renderRefused(): void {
  const button = (textContent: string, onclick: () => void) =>
    made('button', { className: 'wide', textContent, onclick })
  find('[aria-label="Refused"]').replaceChildren(
    ...(refused.getSnapshot().data ?? []).map((commit) =>
      made(
        'li',
        {},
        made('span', { textContent: todos.refusalOf(commit) }),
        button('Try again', () => commit.retry()),
        button('Discard', () => commit.discard()),
      ),
    ),
  )
}

list.subscribe(renderTodos)
unsent.subscribe(renderTodos)
refused.subscribe(renderRefused)
sync.status.subscribe(() => (find('[role=status]').textContent = todos.syncText(sync.status.getSnapshot())))

const other = () => todos.users.find((each) => each !== todos.user())!
function renderUser(): void {
  find('.filters > span').textContent = `Signed in: ${todos.user()}`
  find('#other').textContent = `Sign in as ${other()}`
}
async function leave(): Promise<void> {
  find('#leaving').hidden = true
  const done = todos.signIn(other())
  renderUser()
  await done
}
/** Before somebody leaves, what is not sent yet is sent, or said. */
find('#other').onclick = async () => {
  const left = await todos.left()
  if (left === 0) return leave()
  find('#leaving').hidden = false
  find('#leaving > span').textContent =
    `${left} not sent yet. It stays on this device, and is sent when ${todos.user()} signs in here again.`
}
find('#leave').onclick = leave
find('#stay').onclick = () => (find('#leaving').hidden = true)
const form = find<HTMLFormElement>('form')
form.onsubmit = () => (todos.add(String(new FormData(form).get('title'))), form.reset(), false)
find('footer button').onclick = () => sync.now()
renderUser()
