import { useState } from 'react'
import { useLiveQuery, useStatus } from 'tidemark/react'
import * as todos from '../../shared/todo'

export function Todos() {
  const [filter, setFilter] = useState<todos.Filter>('all')
  const { data, error } = useLiveQuery(todos.list(filter))
  const { data: count } = useLiveQuery(todos.openCount())
  const problem = useStatus(todos.problem)
  return (
    <>
      <h1>Things to do</h1>
      <form action={(form) => todos.add(String(form.get('title')))}>
        <input name="title" aria-label="New to-do" placeholder="What is to be done?" autoComplete="off" />
        <button>Add</button>
      </form>
      <div className="filters" role="group" aria-label="Show">
        {todos.filters.map((each) => (
          <button key={each} aria-pressed={each === filter} onClick={() => setFilter(each)}>
            {each}
          </button>
        ))}
      </div>
      <p role="alert">{String(problem ?? error ?? '')}</p>
      <ul aria-label="To-dos">
        {data?.map((todo) => (
          <Row key={todo.id} todo={todo} />
        ))}
      </ul>
      <footer>
        <p role="status">{todos.left(count)}</p>
        <button onClick={todos.clearDone}>Clear done</button>
      </footer>
    </>
  )
}

function Row({ todo }: { todo: todos.Todo }) {
  const { title, state } = todo
  const [draft, setDraft] = useState<string>()
  const save = () => todos.rename(todo, draft ?? title).then(() => setDraft(undefined))
  return (
    <li className={state}>
      <input type="checkbox" aria-label={title} checked={state === 'done'} onChange={() => todos.toggle(todo)} />
      <input
        type="text"
        aria-label={`Title of ${title}`}
        value={draft ?? title}
        onChange={(event) => setDraft(event.target.value)}
        onBlur={save}
        onKeyDown={(event) => event.key === 'Enter' && save()}
      />
      <button aria-label={`Delete ${title}`} onClick={() => todos.remove(todo)} />
    </li>
  )
}
