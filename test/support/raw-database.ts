/** The database of an event store as any script of the origin can reach it: to read it whole, and to edit it by hand. */

/** The database behind a store. Not `databaseName` of the package: a test that asked it would not notice a changed name. */
export const databaseOf = (store: string) => `tidemark:${store}`

/** Opens a database as it is, or makes one; closed after `work`. */
export async function withDatabase<T>(
  name: string,
  work: (database: IDBDatabase) => Promise<T>,
  upgrade?: (database: IDBDatabase) => void,
  version?: number,
): Promise<T> {
  const request = indexedDB.open(name, version)
  request.onupgradeneeded = () => upgrade?.(request.result)
  const database = await settled(request)
  // Somebody else's deletion or upgrade must not wait for a test.
  database.onversionchange = () => database.close()
  try {
    return await work(database)
  } finally {
    database.close()
  }
}

/** Edits the rows of a store's database in one transaction. */
export function editRows(
  store: string,
  edit: (rows: {
    readonly commits: IDBObjectStore
    readonly meta: IDBObjectStore
    readonly checkpoints: IDBObjectStore
  }) => void | Promise<void>,
): Promise<void> {
  return withDatabase(databaseOf(store), async (database) => {
    const transaction = database.transaction(['commits', 'meta', 'checkpoints'], 'readwrite')
    await edit({
      commits: transaction.objectStore('commits'),
      meta: transaction.objectStore('meta'),
      checkpoints: transaction.objectStore('checkpoints'),
    })
    await completed(transaction)
  })
}

/** Changes one row of the log. */
export function editRecord(store: string, at: number, change: (record: any) => unknown): Promise<void> {
  return editRows(store, async ({ commits }) => {
    const record = await settled(commits.get(at))
    commits.put(change(record))
  })
}

/** A database as JSON: what fixtures of stored formats hold. */
export interface StoredDatabase {
  readonly version: number
  readonly stores: Readonly<
    Record<
      string,
      {
        readonly keyPath: string | readonly string[] | null
        readonly indexes: Readonly<
          Record<
            string,
            { readonly keyPath: string | readonly string[]; readonly multiEntry: boolean; readonly unique: boolean }
          >
        >
        readonly rows: readonly unknown[]
        /** Where they are not in the rows. */
        readonly keys?: readonly IDBValidKey[]
      }
    >
  >
}

export function dumpDatabase(name: string): Promise<StoredDatabase> {
  return withDatabase(name, async (database) => {
    const stores: Record<string, StoredDatabase['stores'][string]> = {}
    for (const store of database.objectStoreNames) {
      const from = database.transaction(store).objectStore(store)
      const rows = settled(from.getAll()) as Promise<unknown[]>
      const keys = settled(from.getAllKeys())
      const indexes = Object.fromEntries(
        [...from.indexNames].map((index) => {
          const { keyPath, multiEntry, unique } = from.index(index)
          return [index, { keyPath, multiEntry, unique }]
        }),
      )
      stores[store] = {
        keyPath: from.keyPath,
        indexes,
        rows: await rows,
        ...(from.keyPath === null ? { keys: await keys } : {}),
      }
    }
    return { version: database.version, stores }
  })
}

export function loadDatabase(name: string, { version, stores }: StoredDatabase): Promise<void> {
  return withDatabase(
    name,
    async () => {},
    (database) => {
      for (const [store, { keyPath, indexes, rows, keys }] of Object.entries(stores)) {
        const into = database.createObjectStore(store, { keyPath: keyPath as string | string[] | null })
        for (const [index, { keyPath: path, ...options }] of Object.entries(indexes))
          into.createIndex(index, path as string | string[], options)
        for (const [at, row] of rows.entries()) into.put(row, keys?.[at])
      }
    },
    version,
  )
}

export function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

export function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error)
  })
}

/** The names of the databases that there are; nothing where the engine does not list them. */
export async function databaseNames(): Promise<readonly string[] | undefined> {
  if (typeof indexedDB.databases !== 'function') return undefined
  const listed = await indexedDB.databases()
  // WebKit goes on listing one whose creation was taken back, with version 0.
  return listed.filter(({ version }) => version !== 0).map(({ name }) => name ?? '')
}
