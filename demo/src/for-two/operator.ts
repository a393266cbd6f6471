/** What the page may ask of the server as its operator, not as a device: see demo/server/board-logs.ts. */

export type OperatorAct = 'start' | 'stop' | 'back-up' | 'restore'

export interface LogState {
  readonly running: boolean
  /** The last position of the log, also while it is stopped. */
  readonly head: number
  readonly backup?: { readonly head: number; /** ms since 1970 */ readonly time: number } | undefined
}

const headers = { 'Tidemark-Demo': '1' }

/** Under which addresses other devices reach the server; nothing where no sync server runs with the page. */
export async function findServer(): Promise<{ readonly addresses: readonly string[] } | undefined> {
  const response = await fetch('/boards', { headers })
  // A server of static files responds with a page of its own.
  if (!response.ok || !response.headers.get('Content-Type')?.startsWith('application/json')) return undefined
  return (await response.json()) as { addresses: string[] }
}

export const boardUrl = (boardId: string) => new URL(`/boards/${boardId}`, location.href).href

/** The state of a board's log. @throws TypeError if the demo itself does not run */
export async function stateOf(boardId: string): Promise<LogState> {
  return asState(await fetch(`${boardUrl(boardId)}/operator`, { headers }))
}

export async function operate(boardId: string, act: OperatorAct): Promise<LogState> {
  return asState(await fetch(`${boardUrl(boardId)}/operator/${act}`, { method: 'POST', headers }))
}

async function asState(response: Response): Promise<LogState> {
  if (!response.ok) throw new Error(`The server responded with ${response.status}.`)
  return (await response.json()) as LogState
}
