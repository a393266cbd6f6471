/** The same work by hand: the same rows, or lines, and nothing is checked, decided or asked for. */
import { open, type FileHandle } from 'node:fs/promises'
import type pg from 'pg'
import type { WireCommit } from 'tidemark/server'

interface Lines {
  readonly at: number
  readonly stream: string
  readonly ids: readonly string[]
  readonly version: number
  readonly text: string
}

/** What a push becomes, behind a position. */
function linesOf(commits: readonly WireCommit[], head: number, versions: Map<string, number>): Lines[] {
  let position = head
  return commits.map(({ events }) => {
    const [at, stream] = [position + 1, events[0]?.stream ?? '']
    let version = versions.get(stream) ?? 0
    let text = ''
    for (const event of events) {
      version += 1
      position += 1
      text += `${text === '' ? '' : '\n'}${JSON.stringify({ position, commit: at, version, ...event })}`
    }
    versions.set(stream, version)
    return { at, stream, ids: events.map(({ id }) => id), version, text }
  })
}

export interface ByHand {
  /** Returns the head. */
  push(commits: readonly WireCommit[]): Promise<number>
  close(): Promise<void>
}

/** A lock of the log's row, an INSERT with many rows for each of the tables that tidemark has, and a commit. */
export async function postgresByHand(pool: pg.Pool, schema: string, log: string): Promise<ByHand> {
  await pool.query(
    `insert into ${schema}.logs (name, identity, epoch, origin, head, chain) values ($1, $1, 'e', 'o', 0, 'c')`,
    [log],
  )
  const versions = new Map<string, number>()
  return {
    async push(commits) {
      const client = await pool.connect()
      try {
        await client.query('begin')
        const { rows } = await client.query(`select id, head from ${schema}.logs where name = $1 for update`, [log])
        const [id, head] = [rows[0].id as number, Number(rows[0].head)]
        const all = linesOf(commits, head, versions)
        const end = head + all.reduce((sum, { ids }) => sum + ids.length, 0)
        await client.query(
          `insert into ${schema}.commits (log, at, n, chain, author, events)
           select $1, t.at, t.n, 'c', 'anna', t.events from unnest($2::bigint[], $3::int[], $4::text[]) as t(at, n, events)`,
          [id, all.map(({ at }) => at), all.map(({ ids }) => ids.length), all.map(({ text }) => text)],
        )
        await client.query(
          `insert into ${schema}.ids (log, id, at) select $1, t.* from unnest($2::uuid[], $3::bigint[]) as t`,
          [id, all.flatMap(({ ids }) => ids), all.flatMap(({ ids, at }) => ids.map(() => at))],
        )
        await client.query(
          `insert into ${schema}.heads (log, stream, version, at)
           select $1, t.* from unnest($2::text[], $3::int[], $4::bigint[]) as t`,
          [id, all.map(({ stream }) => stream), all.map(({ version }) => version), all.map(({ at }) => at)],
        )
        await client.query(`update ${schema}.logs set head = $2 where id = $1`, [id, end])
        await client.query('commit')
        return end
      } finally {
        client.release()
      }
    },
    close: async () => {},
  }
}

/** Lines in a file that is flushed before there is a response. */
export async function fileByHand(path: string): Promise<ByHand> {
  const file: FileHandle = await open(path, 'a')
  const versions = new Map<string, number>()
  let head = 0
  return {
    async push(commits) {
      const all = linesOf(commits, head, versions)
      head += all.reduce((sum, { ids }) => sum + ids.length, 0)
      const end = head
      await file.appendFile(`${all.map(({ text }) => text).join('\n')}\n`)
      await file.datasync()
      return end
    },
    close: () => file.close(),
  }
}
