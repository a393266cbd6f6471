/**
 * The sync server of the shared boards: one log for each, in a file, as small as such a server can be. Everything in
 * addition to `serverLog` and `syncHandler` is there so that a visitor can stop it, back it up and restore it.
 */
import { randomUUID } from 'node:crypto'
import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { nodeListener, openFileLogStore, type FileLogStore } from 'tidemark/file'
import { serverLog, syncHandler } from 'tidemark/server'
import type { OperatorAct, LogState } from '../src/for-two/operator.js'
import { accept } from './accept.js'

/** Long enough that it cannot be guessed: who has the link may read and write the board. */
const boardId = /^[a-z0-9]{12}$/
/** BoardLogs that are open in parallel: each holds a file. */
const mostBoards = 200

type Listener = (request: IncomingMessage, response: ServerResponse) => void

class BoardLog {
  readonly #path: string
  /** Ends with the head that it holds, which its name has to tell. */
  readonly #backupPath: string
  readonly #id: string
  #running: { readonly store: FileLogStore; readonly listener: Listener } | undefined
  #head = 0
  readonly #open = new Set<ServerResponse>()
  /** The last thing that the operator asked for: one at a time. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(folder: string, id: string) {
    this.#id = id
    this.#path = join(folder, `${id}.log`)
    this.#backupPath = join(folder, `${id}.backup`)
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    // As a server that is not there: no response, not even a status.
    if (this.#running === undefined) return void request.socket.destroy()
    this.#open.add(response)
    response.once('close', () => this.#open.delete(response))
    this.#running.listener(request, response)
  }

  act(act: OperatorAct): Promise<void> {
    const done = this.#turn.then(() => this.#acts[act]())
    this.#turn = done.catch(() => {})
    return done
  }

  readonly #acts: Readonly<Record<OperatorAct, () => Promise<void>>> = {
    start: () => this.#start(),
    stop: () => this.#stop(),
    'back-up': () => this.#backUp(),
    restore: () => this.#restore(),
  }

  async state(): Promise<LogState> {
    const { store } = this.#running ?? {}
    if (store !== undefined) this.#head = await store.head().catch(() => this.#head)
    const backup = await this.#backup()
    return { running: this.#running !== undefined, head: this.#head, ...(backup && { backup }) }
  }

  async #start(): Promise<void> {
    if (this.#running !== undefined) return
    // The log has the id of the board, so that devices know it again even if the file was lost.
    const store = await openFileLogStore({ path: this.#path, log: this.#id })
    const log = serverLog(store)
    this.#running = { store, listener: nodeListener(syncHandler({ open: () => ({ log }), accept })) }
  }

  /** As a crash would, while it works: no request under way gets its response. */
  async #stop(): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    this.#running = undefined
    for (const response of this.#open) response.socket?.destroy()
    this.#head = await running.store.head()
    await running.store.close()
  }

  /** A copy of the file. Nothing is decided meanwhile. */
  async #backUp(): Promise<void> {
    const { store } = this.#running ?? {}
    if (store === undefined) return
    const copy = `${this.#backupPath}.${randomUUID()}`
    const head = await store.decide(async () => {
      const stored = await store.head()
      await copyFile(this.#path, copy)
      return stored
    })
    await this.#removeBackup()
    await rename(copy, `${this.#backupPath}-${head}`)
  }

  /** What came after the backup is lost. */
  async #restore(): Promise<void> {
    const backup = await this.#backup()
    if (backup === undefined) return
    await this.#stop()
    await copyFile(`${this.#backupPath}-${backup.head}`, this.#path)
    await this.#start()
  }

  async #backup(): Promise<LogState['backup']> {
    const [name] = await this.#backupFiles()
    if (name === undefined) return undefined
    const { mtimeMs } = await stat(name)
    return { head: Number(name.slice(this.#backupPath.length + 1)), time: mtimeMs }
  }

  async #removeBackup(): Promise<void> {
    for (const name of await this.#backupFiles()) await rm(name)
  }

  async #backupFiles(): Promise<string[]> {
    const folder = join(this.#path, '..')
    return (await readdir(folder))
      .map((name) => join(folder, name))
      .filter((name) => name.startsWith(`${this.#backupPath}-`))
  }
}

export interface BoardLogs {
  /** Serves a request below `/boards`; false for any other. */
  serve(request: IncomingMessage, response: ServerResponse): boolean
  close(): Promise<void>
}

/**
 * @param folder where the logs are kept
 * @param addresses under which other devices reach this server
 */
export function openBoards(folder: string, addresses: () => readonly string[]): BoardLogs {
  const boards = new Map<string, Promise<BoardLog>>()

  async function openBoard(id: string): Promise<BoardLog> {
    await mkdir(folder, { recursive: true })
    const board = new BoardLog(folder, id)
    await board.act('start')
    return board
  }

  function boardOf(id: string): Promise<BoardLog> {
    const known = boards.get(id)
    if (known !== undefined) return known
    if (boards.size >= mostBoards) return Promise.reject(new Error('Too many boards are open.'))
    const board = openBoard(id)
    boards.set(id, board)
    board.catch(() => boards.delete(id))
    return board
  }

  /** For the page only: a form or a script of another site cannot send this header. */
  const isOfPage = (request: IncomingMessage) => request.headers['tidemark-demo'] === '1'

  async function operate(request: IncomingMessage, response: ServerResponse, board: BoardLog, act: string | undefined) {
    if (!isOfPage(request)) return send(response, 403, {})
    if (act !== undefined) {
      if (request.method !== 'POST' || !isAct(act)) return send(response, 404, {})
      await board.act(act)
    }
    return send(response, 200, await board.state())
  }

  return {
    serve(request, response) {
      const { pathname } = new URL(request.url ?? '/', 'http://localhost')
      const [, first, id, what = '', act] = pathname.split('/')
      if (first !== 'boards') return false
      if (id === undefined) {
        send(response, 200, { addresses: addresses() })
        return true
      }
      if (!boardId.test(id)) {
        send(response, 404, {})
        return true
      }
      boardOf(id)
        .then((board) =>
          what === 'operator' ? operate(request, response, board, act) : board.serve(request, response),
        )
        .catch((error: unknown) => {
          console.error(error)
          if (response.headersSent) response.destroy()
          else send(response, 503, {})
        })
      return true
    },
    async close() {
      for (const board of boards.values()) await (await board).act('stop')
    },
  }
}

const acts: readonly string[] = ['start', 'stop', 'back-up', 'restore'] satisfies OperatorAct[]
const isAct = (act: string): act is OperatorAct => acts.includes(act)

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
  response.end(JSON.stringify(body))
}
