/** The `tables` argument of handlers. */
import { InvalidArgumentError } from '../../errors.js'
import { say } from '../../messages.js'
import { isObject } from '../../platform/objects.js'
import type { TableWriter } from '../define.js'
import { checkedKeys, type RowKey } from '../keys.js'
import { checkedSelection, type QueryOptions, type Selection } from '../selection.js'
import { handedOut, type Entry } from './rows.js'
import type { TableWork } from './table-work.js'

/** One event at work. */
export interface Invocation {
  readonly tables: ReadonlyMap<string, TableWork>
  /** Its handler has not ended. */
  open: boolean
  /** The table that its handler asked last, if it asked any. */
  asked: string | undefined
  /** How many rows its handler waits for, or should. */
  loading: number
  /** Nothing that its handler wrote counts, and that was reported: what the handler does after that is no further problem. */
  readonly isFailed: boolean
  /** The storage failed to read a row: what the handler does after that does not count. */
  readFailure: { readonly error: unknown } | undefined
  /** Reads what is not known. */
  readonly load: <T>(event: Invocation, read: () => Promise<T>) => Promise<T>
}

/** What an update makes of a row that is to stay as it is. */
const nothing = {}

/** Of one table, for one event: what is used after that is refused. Its methods may be taken out of it. */
class RowWriter implements TableWriter<unknown> {
  readonly #name: string
  readonly #table: TableWork
  readonly #event: Invocation

  constructor(name: string, table: TableWork, event: Invocation) {
    this.#name = name
    this.#table = table
    this.#event = event
  }

  readonly get = async (key: RowKey): Promise<unknown> => {
    const entry = this.#known(key)
    if (__DEV__ && entry !== undefined) await this.#takeAWhile()
    return handedOut(entry ?? (await this.#load(() => this.#table.load(key))))
  }

  readonly getMany = async (given: readonly RowKey[]): Promise<unknown[]> => {
    this.#asks()
    const keys = checkedKeys(this.#table.definition.key, given, this.#name)
    if (keys.some((key) => this.#table.known(key) === undefined)) await this.#load(() => this.#table.loadAll(keys))
    else if (__DEV__) await this.#takeAWhile()
    return Promise.all(
      keys.map(async (key) => handedOut(this.#table.known(key) ?? (await this.#load(() => this.#table.load(key))))),
    )
  }

  readonly getAll = async (given: QueryOptions = {}): Promise<unknown[]> => {
    this.#asks()
    const selection = checkedSelection(this.#name, this.#table.definition, given)
    const known = selection === undefined ? [] : this.#table.knownSelection(selection)
    if (__DEV__ && known !== undefined) await this.#takeAWhile()
    return (known ?? (await this.#load(() => this.#table.select(selection as Selection)))).map(handedOut)
  }

  readonly put = (row: unknown): void => {
    if (this.#isOver()) return
    this.#table.put(row)
  }

  readonly update = async (key: RowKey, change: (row: unknown) => unknown): Promise<void> => {
    let entry = this.#known(key)
    if (__DEV__ && entry !== undefined) {
      await this.#takeAWhile()
      entry = this.#table.known(key)
    }
    if (entry === undefined) {
      entry = await this.#load(() => this.#table.load(key))
      // Updates of one row in parallel: each starts from what the one before it left.
      entry = this.#table.known(key) ?? entry
    }
    if (this.#isOver()) return
    const row = change(handedOut(entry))
    if (row === null) return this.delete(key)
    if (this.#isOver() || row === nothing) return
    this.#table.put(row, key)
  }

  readonly patch = async (key: RowKey, changes: object): Promise<boolean> => {
    if (!isObject(changes)) throw new InvalidArgumentError('changes', say`must be an object.`)
    // The app may change its object while the row is read.
    const given = { ...changes }
    let exists = false
    await this.update(key, (row) => {
      exists = row !== undefined
      return exists ? { ...(row as object), ...given } : nothing
    })
    return exists
  }

  readonly delete = (key: RowKey): void => {
    if (this.#isOver()) return
    this.#assertKey(key)
    this.#table.remove(key)
  }

  #known(key: RowKey): Entry | undefined {
    this.#asks()
    this.#assertKey(key)
    return this.#table.known(key)
  }

  #asks(): void {
    this.#isOver()
    this.#event.asked = this.#name
  }

  async #load<T>(read: () => Promise<T>): Promise<T> {
    const event = this.#event
    event.loading += 1
    try {
      return await event.load(event, read)
    } finally {
      event.loading -= 1
    }
  }

  /**
   * In the development build a row that is known takes a while as well, so that a handler which does not wait for it
   * fails immediately, and not first after a reload, when its row has to be read.
   */
  async #takeAWhile(): Promise<void> {
    this.#event.loading += 1
    for (let turn = 0; turn < 8; turn += 1) await Promise.resolve()
    this.#event.loading -= 1
  }

  #assertKey(key: RowKey): void {
    const { definition } = this.#table
    if (typeof key !== 'string' || typeof definition.key !== 'string')
      this.#table.assertKey(key, say`The key of '${this.#name}'`)
  }

  #isOver(): boolean {
    const { open, isFailed } = this.#event
    // Its event is done with: a write now would be counted to another one.
    if (!open && !isFailed)
      throw new InvalidArgumentError(
        say`Table '${this.#name}'`,
        say`is used after its handler ended. Await everything inside the handler.`,
      )
    return !open
  }
}

const eventOf = Symbol('event')
const madeOf = Symbol('made')
interface Writers {
  [eventOf]: Invocation
  [madeOf]: (RowWriter | undefined)[]
}

/** Makes the argument for an event. A writer is made when a handler first names its table: most touch few of them. */
export function tableWriters(tables: readonly string[]): (event: Invocation) => object {
  const prototype = Object.create(null) as Writers
  for (const [at, name] of tables.entries()) {
    Object.defineProperty(prototype, name, {
      enumerable: true,
      get(this: Writers) {
        return (this[madeOf][at] ??= new RowWriter(name, this[eventOf].tables.get(name) as TableWork, this[eventOf]))
      },
    })
  }
  return (event) => {
    const writers = Object.create(prototype) as Writers
    writers[eventOf] = event
    writers[madeOf] = []
    return writers
  }
}
