/** What stands in the browser's databases, read with plain IndexedDB: nothing here comes from tidemark's own readers. */

/** A row of the log's `commits`, as `docs/architecture.md` describes it. */
export interface StoredCommit {
  readonly at: number
  readonly n: number
  /** JSON: a list of events, or of format 2 their columns. */
  readonly events: string
  readonly format?: number
}

/** A row of the table `tallies`. */
export interface Tally {
  readonly name: string
  readonly count: number
  readonly sum: number
  /** Of the positions that made it, in their order: a doubled, lost or exchanged one changes it. */
  readonly hash: number
}

/** A row of the table `effects`: how often the event at a position had its effect. */
export interface Effect {
  readonly position: number
  readonly times: number
}

/** One side of a read model: what readers see, or what a rebuild has come to. */
export interface StoredSide {
  readonly checkpoint: number
  /** How many dead letters the state counts. */
  readonly counted: number
  readonly tallies: readonly Tally[]
  readonly effects: readonly Effect[]
  /** Positions of the dead letters. */
  readonly letters: readonly number[]
}

/** Everything found at one moment. */
export interface Evidence {
  /** `undefined` if there is no such database. */
  readonly commits: readonly StoredCommit[] | undefined
  /** `undefined` if there is no such database. */
  readonly model: { readonly shown: StoredSide; readonly rebuilding?: StoredSide } | undefined
}

/**
 * Runs in a page (it is sent as source): reads both databases whole. The read model first, so that events appended in
 * between cannot make its checkpoint look late or early.
 */
export async function collectEvidence(
  _tidemark: unknown,
  { log, model }: { readonly log: string; readonly model: string },
): Promise<Evidence> {
  const settled = <T>(request: IDBRequest<T>) =>
    new Promise<T>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
  const opened = async (name: string): Promise<IDBDatabase | undefined> => {
    const request = indexedDB.open(name)
    let absent = false
    request.onupgradeneeded = () => {
      absent = true
      request.transaction?.abort()
    }
    try {
      return await settled(request)
    } catch (error) {
      if (absent) return undefined
      throw error
    }
  }

  const modelDatabase = await opened(model)
  let found: Evidence['model']
  if (modelDatabase !== undefined) {
    const names = [...modelDatabase.objectStoreNames]
    const transaction = modelDatabase.transaction(names, 'readonly')
    const all = new Map(names.map((name) => [name, settled(transaction.objectStore(name).getAll())]))
    const rows = async (name: string) => (await all.get(name)) as any[]
    const [state] = await rows('tidemark:state')
    const side = async (which: number, checkpoint: number, counted: number): Promise<StoredSide> => {
      // Rows may be records of their own, or lie in packs.
      const table = async (name: string) => (await rows(which === 0 ? name : `tidemark:other:${name}`)).flat()
      const letters = (await rows(which === 0 ? 'tidemark:letters' : 'tidemark:other-letters')).map(
        ({ position }) => position as number,
      )
      return { checkpoint, counted, tallies: await table('tallies'), effects: await table('effects'), letters }
    }
    found = {
      shown: await side(state.shown, state.position, state.letters),
      ...(state.rebuild === undefined
        ? {}
        : { rebuilding: await side(1 - state.shown, state.rebuild.position, state.rebuild.letters) }),
    }
    modelDatabase.close()
  }
  const logDatabase = await opened(log)
  const commits =
    logDatabase === undefined
      ? undefined
      : await settled(logDatabase.transaction('commits').objectStore('commits').getAll())
  logDatabase?.close()
  return {
    commits: commits?.map(({ at, n, events, format }) => ({
      at,
      n,
      events,
      ...(format === undefined ? {} : { format }),
    })),
    model: found,
  }
}
