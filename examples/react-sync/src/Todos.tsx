import { useState } from 'react'
import { useLiveQuery, useSyncStatus } from 'tidemark/react'
import * as todos from '../../shared/synced-todo'

export function Todos() {
  const { data, error } = useLiveQuery(todos.list())
  const unsent = new Set(useLiveQuery(todos.unsent()).data)
  return (
    <>
      <h1>Things to do together</h1>
      <Session />
      <form action={(form) => todos.add(String(form.get('title')))}>
        <input name="title" aria-label="New to-do" placeholder="What is to be done?" autoComplete="off" />
        <button>Add</button>
      </form>
      <p role="alert">{String(error ?? '')}</p>
      <ul aria-label="To-dos">
        {data?.map((todo) => (
          <li key={todo.id} className={todo.state}>
            <input
              type="checkbox"
              aria-label={todo.title}
              checked={todo.state === 'done'}
              onChange={() => todos.toggle(todo)}
            />
            <span>{todo.title}</span>
            {unsent.has(todo.id) && <span className="dot" role="img" aria-label="Not sent yet" />}
            <button aria-label={`Delete ${todo.title}`} onClick={() => todos.remove(todo)} />
          </li>
        ))}
      </ul>
      <Refused />
      <SyncState />
    </>
  )
}

function SyncState() {
  const sync = useSyncStatus(todos.app)
  return (
    <footer>
      <p role="status">{todos.syncText(sync)}</p>
      <button onClick={() => todos.app.sync.now()}>Sync now</button>
    </footer>
  )
}

/** What the server did not take. It is in no list any more, and must not be lost without a word. */
function Refused() {
  const { data = [] } = useLiveQuery(todos.app.sync.liveRefused())
  return (
    <ul aria-label="Refused">
      {data.map((commit) => (
        <li key={commit.id}>
          <span>{todos.refusalOf(commit)}</span>
          <button className="wide" onClick={() => commit.retry()}>
            Try again
          </button>
          <button className="wide" onClick={() => commit.discard()}>
            Discard
          </button>
        </li>
      ))}
    </ul>
  )
}

/** Who is signed in. Before somebody leaves, what is not sent yet is sent, or said. */
function Session() {
  const [user, setUser] = useState(todos.user)
  const [leaving, setLeaving] = useState<{ readonly to: todos.User; readonly left: number }>()
  const leave = async (to: todos.User) => {
    setLeaving(undefined)
    setUser(to)
    await todos.signIn(to)
  }
  const ask = async (to: todos.User) => {
    const left = await todos.left()
    if (left === 0) await leave(to)
    else setLeaving({ to, left })
  }
  const other = todos.users.find((each) => each !== user)!
  return (
    <div className="filters">
      <span>Signed in: {user}</span>
      <button onClick={() => ask(other)}>Sign in as {other}</button>
      {leaving && (
        <p role="alert">
          {leaving.left} not sent yet. It stays on this device, and is sent when {user} signs in here again.
          <button onClick={() => leave(leaving.to)}>Leave all the same</button>
          <button onClick={() => setLeaving(undefined)}>Stay</button>
        </p>
      )}
    </div>
  )
}
