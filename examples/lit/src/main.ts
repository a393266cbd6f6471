import '../../shared/todo.css'
import { html, LitElement } from 'lit'
import { live } from 'lit/directives/live.js'
import { repeat } from 'lit/directives/repeat.js'
import { LiveController } from 'tidemark/lit'
import * as todos from '../../shared/todo'

class TodoApp extends LitElement {
  static override properties = { filter: { state: true } }
  declare filter: todos.Filter
  readonly #list = new LiveController(this, () => todos.list(this.filter))
  readonly #count = new LiveController(this, () => todos.openCount())

  // Into the page itself, so that the style sheet that the examples share applies.
  protected override createRenderRoot() {
    return this
  }

  #add(event: SubmitEvent) {
    event.preventDefault()
    const form = event.target as HTMLFormElement
    todos.add(String(new FormData(form).get('title')))
    form.reset()
  }

  override render() {
    return html` <h1>Things to do</h1>
      <form @submit=${this.#add}>
        <input name="title" aria-label="New to-do" placeholder="What is to be done?" autocomplete="off" />
        <button>Add</button>
      </form>
      <div class="filters" role="group" aria-label="Show">
        ${todos.filters.map((each) => html`<button aria-pressed=${each === this.filter} @click=${() => (this.filter = each)}>${each}</button>`)}
      </div>
      <p role="alert">${todos.problem.getSnapshot() ?? this.#list.value.error}</p>
      <ul aria-label="To-dos">
        ${repeat(this.#list.value.data ?? [], ({ id }) => id, this.#row)}
      </ul>
      <footer>
        <p role="status">${todos.left(this.#count.value.data)}</p>
        <button @click=${todos.clearDone}>Clear done</button>
      </footer>`
  }

  #row = (todo: todos.Todo) =>
    html` <li class=${todo.state}>
      <input
        type="checkbox"
        aria-label=${todo.title}
        .checked=${live(todo.state === 'done')}
        @change=${() => todos.toggle(todo)}
      />
      <input
        type="text"
        aria-label="Title of ${todo.title}"
        .value=${todo.title}
        @change=${(event: Event) => todos.rename(todo, (event.target as HTMLInputElement).value)}
      />
      <button aria-label="Delete ${todo.title}" @click=${() => todos.remove(todo)}></button>
    </li>`
}

customElements.define('todo-app', TodoApp)
const todoApp = Object.assign(new TodoApp(), { filter: 'all' })
todos.problem.subscribe(() => todoApp.requestUpdate())
document.querySelector('#app')!.append(todoApp)
