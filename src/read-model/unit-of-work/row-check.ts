/** Checks the rows that are put with the schema of their table. */
import { InvalidArgumentError } from '../../errors.js'
import { say } from '../../messages.js'
import type { StandardResult, StandardSchema } from '../../events/schema.js'
import { freshCopy } from '../../events/fresh-copy.js'
import { isRefusedPromise } from '../../platform/promises.js'
import { sameStored } from '../equal.js'

/**
 * Returns a function that makes of a row what is stored. The schema must leave that as it is, because a row that was
 * read is put again. That function throws an InvalidArgumentError for a promise, for a row that the schema refuses, and
 * for a schema that changes its own output.
 */
export function rowCheck(table: string, schema: StandardSchema | undefined): (row: unknown) => unknown {
  const aRow = say`A row of '${table}'`
  const itsSchema = `tables.${table}.schema`
  const validate = (row: unknown): StandardResult<unknown> => {
    const result = (schema as StandardSchema)['~standard'].validate(row) as
      | StandardResult<unknown>
      | Promise<StandardResult<unknown>>
    if (!isRefusedPromise(result)) return result
    throw new InvalidArgumentError(itsSchema, say`is asynchronous. A row must be checked synchronously.`)
  }
  return (row) => {
    if (isRefusedPromise(row)) throw new InvalidArgumentError(aRow, say`is a promise. Await it before it is put.`)
    if (schema === undefined) return row
    // A copy, because a schema may change what it is given.
    const before = freshCopy(row)
    const result = validate(row)
    if (result.issues !== undefined)
      throw new InvalidArgumentError(
        aRow,
        say`does not fit its schema: ${result.issues.map(({ message }) => message).join('; ')}`,
      )
    const { value } = result
    if (!sameStored(before, value)) {
      const again = validate(freshCopy(value))
      if (again.issues !== undefined || !sameStored(again.value, value))
        throw new InvalidArgumentError(
          itsSchema,
          say`changes its own output. A row that was read is checked again when it is put: change values before they are put.`,
        )
    }
    return value
  }
}
