import { TodosInBrowser } from './todos'

/** Rendered on the server, where there is no IndexedDB: the list is empty there, and the browser fills it. */
export default function Page() {
  return <TodosInBrowser />
}
