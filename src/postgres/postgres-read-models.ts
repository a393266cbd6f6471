/** The read models of one log in PostgreSQL. */
import type { Projection } from '../read-model/define.js'
import { projectionKey } from '../read-model/define.js'
import type { ReadModels, StoredModel } from '../read-model/read-models.js'
import type { StateRow } from '../read-model/state.js'
import type { ReadModelStorage } from '../read-model/storage.js'
import type { DeadLetterRecord } from '../projection/target.js'
import { lettersSql, PostgresRows } from './postgres-rows.js'
import { rowsFrom } from './row-json.js'
import { RowQueries, TableNumbers } from './row-queries.js'
import type { ReadModelSql } from './read-model-sql.js'

export class PostgresReadModels implements ReadModels {
  readonly #sql: ReadModelSql

  constructor(sql: ReadModelSql) {
    this.#sql = sql
  }

  open(definition: Projection, log: string): ReadModelStorage {
    return new PostgresRows(this.#sql, definition, log)
  }

  async stored(definition: Projection): Promise<StoredModel | undefined> {
    const tables = Object.keys(definition.tables)
    const answers = await this.#sql.ask(projectionKey(definition), undefined, (schema, part) => {
      const queries = new RowQueries(schema, new TableNumbers(definition), part)
      return [
        lettersSql(schema, part, 0),
        ...tables.map((table) => queries.answer(table, { kind: 'all', options: {} })),
      ]
    })
    if (answers === undefined) return undefined
    const [letters, ...rows] = answers.values as string[]
    return {
      state: JSON.parse(answers.state),
      letters: JSON.parse(letters as string) as DeadLetterRecord[],
      rows: new Map(tables.map((table, at) => [table, rowsFrom(rows[at] as string)])),
    }
  }

  states(): Promise<[key: string, state: StateRow | undefined][]> {
    return this.#sql.states()
  }

  remove(key: string): Promise<void> {
    return this.#sql.remove(key)
  }
}
