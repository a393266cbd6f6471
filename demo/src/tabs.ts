/**
 * Which tabs there are and what each does, as the browser's lock manager tells: it knows immediately when a tab was closed or
 * crashed, so no code has to keep a list.
 */

export interface Tab {
  /** One character. */
  readonly name: string
  readonly isThis: boolean
  /** It runs the projection, waits to take over, or was stopped. */
  readonly role: 'leads' | 'follows' | 'stopped'
}

export interface Tabs {
  /** In the order of their names. */
  readonly all: readonly Tab[]
  /** Who holds the lock of the projection on show. A holder that is no tab is the service worker. */
  readonly leader: Tab | 'service worker' | undefined
  /** Which tab loads flights. */
  readonly loader: Tab | undefined
}

export interface TabWatch {
  getSnapshot(): Tabs
  subscribe(listener: () => void): void
  /** Looks again, for instance because leadership seems to have changed. */
  refresh(): Promise<void>
}

const prefix = 'flight-desk:tab:'
const ownLetter = 'flight-desk:tab'
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

/** Held while a tab loads flights, so that two never do it in parallel. */
export const loadLock = 'flight-desk:load'

/** Lock managers do not report changes: how often to look, ms. */
const interval = 500

/**
 * Gives this tab the first name that is free, and watches all of them.
 *
 * @param projectionLock the end of the name of the lock that the leader holds
 */
export async function watchTabs(projectionLock: () => string): Promise<TabWatch> {
  let own = await takeLetter()
  let tabs: Tabs = { all: [], leader: undefined, loader: undefined }
  const listeners = new Set<() => void>()

  // A held lock keeps a page out of the back/forward cache.
  addEventListener('pagehide', (event) => {
    if (event.persisted) own.release()
  })
  addEventListener('pageshow', (event) => {
    if (event.persisted)
      void takeLetter()
        .then((again) => (own = again))
        .then(refresh)
  })

  async function refresh(): Promise<void> {
    const { held = [], pending = [] } = await navigator.locks.query()
    const lock = projectionLock()
    const clientOf = (end: string, among: readonly LockInfo[]) =>
      among.filter(({ name, mode }) => mode === 'exclusive' && name?.endsWith(end)).map(({ clientId }) => clientId)
    const [leading] = clientOf(lock, held)
    const [loading] = clientOf(loadLock, held)
    const waiting = new Set(clientOf(lock, pending))
    const named = held
      .filter(({ name }) => name?.startsWith(prefix))
      .map(({ name = '', clientId }) => {
        const letter = name.slice(prefix.length)
        const role = clientId === leading ? 'leads' : waiting.has(clientId) ? 'follows' : 'stopped'
        return { clientId, tab: { name: letter, isThis: letter === own.letter, role } satisfies Tab }
      })
      .sort((one, other) => one.tab.name.localeCompare(other.tab.name))
    const next: Tabs = {
      all: named.map(({ tab }) => tab),
      leader:
        leading === undefined
          ? undefined
          : (named.find(({ clientId }) => clientId === leading)?.tab ?? 'service worker'),
      loader: named.find(({ clientId }) => clientId === loading)?.tab,
    }
    if (JSON.stringify(next) === JSON.stringify(tabs)) return
    tabs = next
    for (const listener of listeners) listener()
  }

  document.title = `Flight desk ${own.letter}`
  await refresh()
  setInterval(() => void refresh().catch(() => {}), interval)
  return { getSnapshot: () => tabs, subscribe: (listener) => void listeners.add(listener), refresh }
}

/** Holds the lock of the first free name until it is released or the page ends; after a reload of the same one, if it can. */
async function takeLetter(): Promise<{ readonly letter: string; release(): void }> {
  for (const letter of [sessionStorage.getItem(ownLetter), ...letters]) {
    if (letter === null) continue
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const granted = await new Promise<boolean>((resolve, reject) => {
      navigator.locks
        .request(prefix + letter, { ifAvailable: true }, (lock) => {
          resolve(lock !== null)
          return lock === null ? undefined : held
        })
        .catch(reject)
    })
    if (!granted) continue
    sessionStorage.setItem(ownLetter, letter)
    return { letter, release }
  }
  return { letter: '', release: () => {} }
}
