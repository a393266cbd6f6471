/** What tidemark needs of a Durable Object: the types of Cloudflare fit, and no package is needed for them. */

/** What a statement returned. */
export interface DurableCursor extends Iterable<Record<string, unknown>> {
  toArray(): Record<string, unknown>[]
  /** Rows of tables and indexes, as they are billed. */
  readonly rowsWritten: number
}

/** `ctx.storage.sql` */
export interface DurableSql {
  exec(query: string, ...bindings: unknown[]): DurableCursor
  /** In bytes. */
  readonly databaseSize: number
}

/** `ctx.storage` */
export interface DurableStorage {
  readonly sql: DurableSql
  transactionSync<T>(work: () => T): T
  getAlarm(): Promise<number | null>
  setAlarm(time: number): Promise<void>
  getCurrentBookmark(): Promise<string>
  getBookmarkForTime(time: number): Promise<string>
  onNextSessionRestoreBookmark(bookmark: string): Promise<string>
}

/** A WebSocket that may outlast its object. */
export interface DurableSocket {
  send(text: string): void
  close(code?: number, reason?: string): void
}

/** `ctx`: the state that the constructor of a Durable Object gets. */
export interface DurableContext {
  readonly storage: DurableStorage
  acceptWebSocket(socket: DurableSocket, tags?: string[]): void
  getWebSockets(tag?: string): DurableSocket[]
  getTags(socket: DurableSocket): string[]
  setWebSocketAutoResponse(pair?: object): void
  abort(reason?: string): void
}

/** Globals of the runtime that are found in no other one. */
export interface DurableGlobals {
  readonly WebSocketPair?: new () => { readonly 0: DurableSocket; readonly 1: DurableSocket }
  readonly WebSocketRequestResponsePair?: new (request: string, response: string) => object
}
