// Mutants of logs in PostgreSQL.
const store = 'test/unit/postgres/log-store.test.ts'
const lost = 'test/unit/postgres/lost-connection.test.ts'
const texts = 'test/unit/postgres/sql-text.test.ts'
const migrate = 'test/unit/postgres/migrate.test.ts'
const crash = 'test/unit/postgres/crash.test.ts'
const storm = 'test/unit/postgres/storm.test.ts'
export default [
  {
    id: 'postgres-lock',
    file: 'src/postgres/log-tables.ts',
    find: 'return `${this.#rowText} for update`',
    replace: 'return this.#rowText',
    tests: [storm],
    breaks: 'processes decide at the same time',
  },
  {
    id: 'postgres-unknown',
    file: 'src/postgres/sql-database.ts',
    find: "      this.#end(error)\n      throw failedQuery(error, 'unknown')",
    replace: "      this.#end(error)\n      throw failedQuery(error, 'not-written')",
    tests: [lost],
    breaks: 'a commit whose response is lost counts as not written',
  },
  {
    id: 'postgres-origin',
    file: 'src/postgres/log-tables.ts',
    find: "isOther: row['other'] === true",
    replace: 'isOther: false',
    tests: [crash],
    breaks: 'a server that was started again, promoted or restored keeps its epoch',
  },
  {
    id: 'postgres-halves',
    file: 'src/postgres/sql-text.ts',
    find: 'const odd = /[\\u0000\\u0001]|[\\ud800-\\udbff](?![\\udc00-\\udfff])|',
    replace: 'const odd = /[\\u0000\\u0001]|',
    tests: [texts],
    breaks: 'half of a surrogate pair is stored as another character',
  },
  {
    id: 'postgres-key',
    file: 'src/postgres/log-tables.ts',
    find: '-[0-9a-e][\\da-f]{3}-',
    replace: '-[0-9a-f][\\da-f]{3}-',
    tests: [texts],
    breaks: 'a device can make an id whose key is that of another id',
  },
  {
    id: 'postgres-migration-lock',
    file: 'src/postgres/migrate-postgres.ts',
    find: "    await sql.query('select pg_advisory_xact_lock($1)', [lockKey(`tidemark migration ${schema}`)])\n",
    replace: '    void lockKey\n',
    tests: [migrate],
    breaks: 'processes that migrate at the same time fail',
  },
  {
    id: 'postgres-merged',
    file: 'src/postgres/hub.ts',
    find: '      await pause(betweenNotifications)\n',
    replace: '      void pause\n      void betweenNotifications\n',
    tests: [store],
    breaks: 'each commit is a notification',
  },
  {
    id: 'postgres-listen-again',
    file: 'src/postgres/hub.ts',
    find: '      if (!isOver) timer = setTimeout(',
    replace: '      if (isOver) timer = setTimeout(',
    tests: [lost],
    breaks: 'a listening connection that was lost is not opened again',
  },
  {
    id: 'postgres-group',
    file: 'src/postgres/log-queue.ts',
    find: 'while (ended.length < mostTogether.decisions && group.characters < mostTogether.characters)',
    replace: 'while (ended.length < 1 && group.characters < mostTogether.characters)',
    tests: [store],
    breaks: 'each push is a transaction of its own',
  },
  {
    id: 'postgres-page',
    file: 'src/postgres/log-tables.ts',
    find: ' and (at + n - 1 <= $2 or at = $1 + 1)',
    replace: '',
    tests: [store],
    breaks: 'a page has more events than its limit',
  },
  {
    id: 'postgres-thrown',
    file: 'src/postgres/log-decision.ts',
    find: '      const result = await work(decision)\n',
    replace: '      const result = await work(decision).finally(() => this.added.take(decision.added))\n',
    tests: [store],
    breaks: 'what a decision added that threw is stored',
  },
]
