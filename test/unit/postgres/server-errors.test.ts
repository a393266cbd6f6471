// N77: what is known after an error of the server, in whatever language it says that.
import { describe, expect, test } from 'vitest'
import { failedQuery, isConnectionLost } from '../../../src/postgres/postgres-errors.js'
import { Database } from '../../../src/postgres/sql-database.js'

const failure = (code: string, severity?: string) => Object.assign(new Error(code), { code, severity })

describe('errors of a server', () => {
  test.for(['ERROR', 'FEHLER', 'ERREUR', 'エラー', undefined])('%s: a statement is refused', (severity) => {
    for (const code of ['23505', '40001', '22P02', '25P02', '55P03', '57014']) {
      const error = failure(code, severity)
      expect(isConnectionLost(error)).toBe(false)
      expect(isConnectionLost(failedQuery(error, 'unknown'))).toBe(false)
      expect(failedQuery(error, 'unknown').outcome).toBe('not-written')
    }
  })

  test.for(['FATAL', 'PANIC', 'SCHWERWIEGEND', 'PANIK', 'ФАТАЛЬНЫЙ'])('%s: the connection ends', (severity) => {
    for (const code of ['57P01', '57P02', '25P03', '08006'])
      expect(failedQuery(failure(code, severity), 'unknown').outcome).toBe('unknown')
    expect(isConnectionLost(failure('57P01', severity))).toBe(true)
  })

  test.for(['ECONNRESET', 'EPIPE'])('N77: an error of the socket says nothing: %s', (code) => {
    expect(failedQuery(failure(code), 'unknown').outcome).toBe('unknown')
    expect(isConnectionLost(failure(code))).toBe(true)
  })
})

describe('a statement that others undo', () => {
  /** A pool whose server fails that many times. */
  const poolThatFails = (times: number, code: string) => {
    let queries = 0
    const client = {
      query: async () => {
        if ((queries += 1) <= times) throw failure(code, 'ERROR')
        return { rows: [{ at: queries }] }
      },
      release() {},
      on() {},
      removeListener() {},
    }
    return { ...client, connect: async () => client }
  }

  test.for(['40001', '40P01'])('%s: it is sent again', async (code) => {
    expect(await new Database(poolThatFails(3, code)).query('select')).toEqual([{ at: 4 }])
  })

  test('is given up after many tries, and another error is not tried again', async () => {
    await expect(new Database(poolThatFails(1000, '40001')).query('select')).rejects.toMatchObject({
      code: 'storage-busy',
      outcome: 'not-written',
    })
    await expect(new Database(poolThatFails(1, '23505')).query('select')).rejects.toMatchObject({
      code: 'storage-failed',
    })
  })
})
