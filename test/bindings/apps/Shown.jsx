import { createLiveQuery, createStatus, createSyncStatus } from 'tidemark/solid'
import { createComputed, createSignal, For } from 'solid-js'

export function Shown({ first, seen, textOf, given }) {
  const [source, use] = createSignal(first)
  given?.(use)
  const rows = createLiveQuery(source)
  createComputed(() => seen.push({ ...rows() }))
  return <p>{textOf(rows())}</p>
}

export function Status({ of }) {
  const status = createStatus(of)
  return <p>{status()}</p>
}

export function Sync({ app }) {
  const sync = createSyncStatus(app)
  return <p>{sync().pending}</p>
}

export function List({ source, options }) {
  const rows = createLiveQuery(() => source, options)
  return (
    <ul>
      <For each={rows().data}>{(row) => <li>{row.text}</li>}</For>
    </ul>
  )
}
