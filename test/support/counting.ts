/** The counting projection in pages and workers that Playwright drives. */
import type { Page } from '@playwright/test'
import * as work from './counting-work.js'
import { run, type Realm } from './e2e.js'

/** Opens the store and defines the projection in a realm; what other calls of a test find in `state`. */
export const open = (page: Page, realm: Realm, name: string, version = 1) =>
  run(page, realm, work.open, { name, version })

/** Starts the projection in a realm. */
export const start = (page: Page, realm: Realm = 'page') => run(page, realm, work.start)

/** Appends events one commit each, or all in one. Answers the last position. */
export const append = (page: Page, realm: Realm, times: number, perCommit = 1) =>
  run(page, realm, work.append, { times, perCommit })

/** Wins so many versions of a stream that others extend as well. */
export const race = (page: Page, realm: Realm, wins: number) => run(page, realm, work.race, wins)

export const caughtUp = (page: Page, position: number, realm: Realm = 'page') =>
  run(page, realm, work.caughtUp, position)

export const status = (page: Page, realm: Realm = 'page') => run(page, realm, work.status)

/** The rows as they are, and what a plain fold of the log makes of the events up to their checkpoint. */
export const compare = (page: Page, realm: Realm = 'page') => run(page, realm, work.compare)
