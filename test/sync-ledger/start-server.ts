/** Starts the server of a ledger. */
import { startFileServer } from './file-server.js'
import type { LedgerServer, ServerKind, ServerOptions } from './ledger-server.js'
import { startObjectServer } from './object-server.js'
import { startPostgresServer } from './postgres-server.js'

const starts: Readonly<Record<ServerKind, (options?: ServerOptions) => Promise<LedgerServer>>> = {
  file: startFileServer,
  'durable-object': startObjectServer,
  postgres: startPostgresServer,
}

export const startLedgerServer = (kind: ServerKind, options?: ServerOptions): Promise<LedgerServer> =>
  starts[kind](options)
