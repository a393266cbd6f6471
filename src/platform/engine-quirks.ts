/**
 * In what the engines differ, as questions that the rest of the code asks. What was seen of each engine:
 * docs/engines.md.
 */
import { feature } from './features.js'

const agent = (): string => feature(({ navigator }) => navigator?.userAgent) ?? ''

/** Chromium, by its name. It keeps databases in LevelDB, except on SQLite, where a full disk has another error. */
export const inChromium = (): boolean => agent().includes('Chrome/')

/**
 * Whether this is a worker of WebKit. If one is terminated, WebKit may leave its transactions open for good, and all
 * that need their stores wait for them, also after the page has gone: those whose `commit()` was called before their
 * requests had succeeded, and any of several that were under way in parallel. WebKit is known by its name, since
 * nothing else about it shows this. Chromium has both names.
 */
export const isWorkerOfWebKit = (): boolean =>
  feature(({ document }) => document) === undefined && agent().includes('AppleWebKit/') && !inChromium()

/** Whether `commit()` may be called while requests are pending. */
export const mayCommitEarly = (): boolean => !isWorkerOfWebKit()

/**
 * Whether a request that fails after `commit()` still takes the transaction back, as the standard has it. Firefox
 * stores the rest and completes. Only Chromium has the property that is asked for; elsewhere the results of the
 * requests are waited for.
 */
export const takesBackCommitted = (): boolean =>
  feature(({ navigator }) => navigator && 'userAgentData' in navigator) === true

/** Whether `getAll` takes a direction: where `getAllRecords` exists, which is not everywhere yet. */
export const readsBackwards = (): boolean => 'getAllRecords' in IDBObjectStore.prototype

/** What Chromium calls the failure to read a value whose file is gone or damaged. */
export const namesOfLoss: readonly string[] = ['NotReadableError', 'NotFoundError', 'DataError']
