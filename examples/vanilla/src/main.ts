import '../../shared/todo.css'
import * as todos from '../../shared/todo'

const find = <E extends HTMLElement>(selector: string) => document.querySelector<E>(selector)!
find('#app').innerHTML = `
  <h1>Things to do</h1>
  <form><input name="title" aria-label="New to-do" placeholder="What is to be done?" autocomplete="off"><button>Add</button></form>
  <div class="filters" role="group" aria-label="Show">
    ${todos.filters.map((filter) => `<button data-filter="${filter}">${filter}</button>`).join('')}
  </div>
  <p role="alert"></p>
  <ul aria-label="To-dos"></ul>
  <footer><p role="status"></p><button>Clear done</button></footer>`
const ul = find('ul')
const rows = new Map<string, { todo: todos.Todo; li: HTMLLIElement }>()

function newRow(id: string): HTMLLIElement {
  const innerHTML = `<input type="checkbox"><input type="text"><button></button>`
  const li = Object.assign(document.createElement('li'), { innerHTML })
  const [box, title, button] = li.querySelectorAll<HTMLInputElement>('*')
  box!.onclick = (event) => todos.toggle(rows.get(id)!.todo, event)
  title!.onchange = () => todos.rename(rows.get(id)!.todo, title!.value)
  button!.onclick = () => todos.remove(rows.get(id)!.todo)
  return li
}

function liOf(todo: todos.Todo): HTMLLIElement {
  const known = rows.get(todo.id)
  if (known?.todo === todo) return known.li // A row that did not change is the same object.
  const li = known?.li ?? newRow(todo.id)
  const [box, title, button] = li.querySelectorAll<HTMLInputElement>('*')
  li.className = todo.state
  Object.assign(box!, { checked: todo.state === 'done', ariaLabel: todo.title })
  title!.ariaLabel = `Title of ${todo.title}`
  if (known?.todo.title !== todo.title) title!.value = todo.title // Else somebody may be typing.
  button!.ariaLabel = `Delete ${todo.title}`
  rows.set(todo.id, { todo, li })
  return li
}

let list = todos.list('all')
function render(): void {
  const { data: items = [], error } = list.getSnapshot()
  find('[role=alert]').textContent = String(todos.problem.getSnapshot() ?? error ?? '')
  const shown = new Set(items.map(({ id }) => id))
  for (const [id, { li }] of rows) if (!shown.has(id)) (li.remove(), rows.delete(id))
  items.map(liOf).forEach((li, at) => ul.children[at] !== li && ul.insertBefore(li, ul.children[at] ?? null))
}

let unfollow = () => {}
function show(filter: todos.Filter): void {
  list = todos.list(filter)
  unfollow()
  unfollow = list.subscribe(render)
  render()
  for (const each of todos.filters) find(`[data-filter=${each}]`).ariaPressed = String(each === filter)
}

const count = todos.openCount()
count.subscribe(() => (find('[role=status]').textContent = todos.left(count.getSnapshot().data)))
todos.problem.subscribe(render)
const form = find<HTMLFormElement>('form')
form.onsubmit = () => (todos.add(String(new FormData(form).get('title'))), form.reset(), false)
find('.filters').onclick = ({ target }) => show((target as HTMLElement).dataset['filter'] as todos.Filter)
find('footer button').onclick = () => todos.clearDone()
show('all')
