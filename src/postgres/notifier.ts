/** What one process sends to the others of a schema: heads of logs, and hints of stores. Merged, and after the commit. */
import { randomId } from '../events/identifier.js'
import { isObject } from '../platform/objects.js'
import type { Hint } from '../platform/signals.js'
import type { Database } from './sql-database.js'

/** In ms. */
const betweenNotifications = 10

/** What PostgreSQL takes in one notification is 8,000 bytes. All characters are of one byte. */
const longestPayload = 7_500

/** What arrives from other processes. */
export interface Arrivals {
  head(name: string, head: number): void
  /** Whatever someone sent: it is to be checked. */
  hint(name: string, message: unknown): void
}

/**
 * A notification within the transaction of a commit would be delivered with it, but such transactions wait for each
 * other, in the whole database and until each is on the disk: 16 writers of rows that differ reached 0.3 of the commits.
 * So it is a statement of its own. What is lost is found by those that look.
 */
export class Notifier {
  readonly #database: Database
  readonly #channel: string
  /** A process gets its own notifications as well. */
  readonly #sender = randomId()
  /** What was not sent yet: the last line about each subject. */
  readonly #lines = new Map<string, string>()
  #isSending = false
  /** What sending waits for: a statement, or the pause behind it. */
  #step: Promise<unknown> = Promise.resolve()
  /** How many lines there were, and up to which of them others were notified. */
  #added = 0
  #sent = 0

  constructor(database: Database, channel: string) {
    this.#database = database
    this.#channel = channel
  }

  head(name: string, head: number): void {
    this.#add(name, `${name} ${head}`)
  }

  /** Of several hints about one projection, the last one says enough: what changed is not sent. */
  hint(name: string, hint: Extract<Hint, { readonly projection: string }>): void {
    const message = JSON.stringify({ ...hint, changes: undefined })
    const line = `${name} ~ ${this.#sender} ${message.replace(/[^ -~]/g, escaped)}`
    if (line.length < longestPayload) this.#add(`${name} ${hint.kind} ${hint.projection}`, line)
  }

  /** Resolves when others were notified of everything until now. */
  async settled(): Promise<void> {
    for (const upTo = this.#added; this.#sent < upTo;) await this.#step
  }

  #add(subject: string, line: string): void {
    this.#added += 1
    this.#lines.set(subject, line)
    if (!this.#isSending) void this.#send()
  }

  async #send(): Promise<void> {
    this.#isSending = true
    while (this.#lines.size > 0) {
      const [payload, upTo] = [this.#payload(), this.#added]
      const isAll = this.#lines.size === 0
      // It need not wait for the disk.
      await (this.#step = this.#database
        .query(`select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`, [this.#channel, payload])
        .catch(() => {}))
      if (isAll) this.#sent = upTo
      await (this.#step = pause(betweenNotifications))
    }
    this.#isSending = false
  }

  /** Takes as many lines as fit. */
  #payload(): string {
    let payload = ''
    for (const [subject, line] of this.#lines) {
      if (payload.length + line.length >= longestPayload) break
      payload += `${line}\n`
      this.#lines.delete(subject)
    }
    return payload
  }

  /** Takes a payload apart. Anyone who may connect to the database can send one, and builds before this one know heads only. */
  receive(payload: string, arrivals: Arrivals): void {
    for (const line of payload.split('\n')) {
      const [name = '', head = '', sender] = line.split(' ', 3)
      if (/^\d{1,15}$/.test(head)) arrivals.head(name, Number(head))
      if (head !== '~' || sender === undefined || sender === this.#sender) continue
      const message = parsed(line.slice(`${name} ~ ${sender} `.length))
      if (isObject(message)) arrivals.hint(name, message)
    }
  }
}

const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms))
