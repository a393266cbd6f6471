/** A sync server in a process of its own, which a test kills and starts again on the same port and file. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { scratch } from '../../scripts/scratch.mjs'

const script = fileURLToPath(new URL('./sync-server.mjs', import.meta.url))

export interface SyncServerProcess {
  /** Of the log. */
  readonly url: string
  /** Ends it (SIGKILL), whatever it does. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Ends it, and removes its file. */
  close(): Promise<void>
}

export async function startSyncServer(): Promise<SyncServerProcess> {
  const folder = await mkdtemp(join(scratch(), 'tidemark-sync-server-'))
  let port = '0'
  let child: ChildProcess | undefined
  const kill = async () => {
    const ending = child
    child = undefined
    if (ending === undefined) return
    const ended = once(ending, 'exit')
    ending.kill('SIGKILL')
    await ended
  }
  const start = async () => {
    const starting = spawn(process.execPath, [script, join(folder, 'log'), port], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    child = starting
    const { stdout } = starting
    const ended = once(starting, 'exit').then(() => Promise.reject(new Error('The sync server ended.')))
    const [text] = (await Promise.race([once(stdout, 'data'), ended])) as [Buffer]
    ended.catch(() => {})
    port = text.toString().trim()
  }
  await start()
  return {
    url: `http://127.0.0.1:${port}/logs/1`,
    kill,
    start,
    async close() {
      await kill()
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
