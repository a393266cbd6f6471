import '../../shared/todo.css'
import { createSignal, For } from 'solid-js'
import { render } from 'solid-js/web'
import { createLiveQuery, createStatus } from 'tidemark/solid'
import * as todos from '../../shared/todo'

function Todos() {
  const [filter, setFilter] = createSignal<todos.Filter>('all')
  const list = createLiveQuery(() => todos.list(filter()))
  const count = createLiveQuery(todos.openCount)
  const problem = createStatus(todos.problem)
  let title!: HTMLInputElement

  function add(event: SubmitEvent) {
    event.preventDefault()
    todos.add(title.value)
    title.value = ''
  }

  return (
    <>
      <h1>Things to do</h1>
      <form onSubmit={add}>
        <input ref={title} aria-label="New to-do" placeholder="What is to be done?" autocomplete="off" />
        <button>Add</button>
      </form>
      <div class="filters" role="group" aria-label="Show">
        <For each={todos.filters}>
          {(each) => (
            <button aria-pressed={each === filter()} onClick={() => setFilter(each)}>
              {each}
            </button>
          )}
        </For>
      </div>
      <p role="alert">{String(problem() ?? list().error ?? '')}</p>
      <ul aria-label="To-dos">
        <For each={list().data}>{Row}</For>
      </ul>
      <footer>
        <p role="status">{todos.left(count().data)}</p>
        <button onClick={todos.clearDone}>Clear done</button>
      </footer>
    </>
  )
}

function Row(todo: todos.Todo) {
  return (
    <li class={todo.state}>
      <input type="checkbox" aria-label={todo.title} checked={todo.state === 'done'} onClick={[todos.toggle, todo]} />
      <input
        type="text"
        aria-label={`Title of ${todo.title}`}
        value={todo.title}
        onChange={(event) => todos.rename(todo, event.target.value)}
      />
      <button aria-label={`Delete ${todo.title}`} onClick={[todos.remove, todo]} />
    </li>
  )
}

render(() => <Todos />, document.querySelector('#app')!)
