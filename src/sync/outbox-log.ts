/** The log of a synced store: confirmed events as they are, and an outbox that appends go to. */
import type { Log } from '../log/store.js'
import { confirmedPages, type ConfirmedPagesOptions } from './confirmed-pages.js'
import { outboxStreams } from './outbox-streams.js'
import { ownAppends, type OwnAppendsOptions } from './own-appends.js'

export const outboxLog = (options: OwnAppendsOptions & ConfirmedPagesOptions) =>
  ({
    ...ownAppends(options),
    ...confirmedPages(options),
    ...outboxStreams(options),
  }) satisfies Log
