/** Which of its two storage engines Chromium keeps IndexedDB in (H30): how to ask for one, and how to see which it was. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

export type ChromiumStorage = 'leveldb' | 'sqlite'

/** The switch for an engine. Further features belong into it, because Chromium heeds only the last `--enable-features`. */
export function chromiumStorageFlag(storage: ChromiumStorage, features: readonly string[] = []): string {
  // LevelDB is asked for as well: newer browsers may prefer SQLite for new stores.
  const feature = storage === 'sqlite' ? 'IdbSqliteBackingStore' : 'IdbSqliteOnDiskRollout:stage/UseLevelDbOnly'
  return `--enable-features=${[feature, ...features].join(',')}`
}

/** Which engine keeps the IndexedDB of an origin in a profile, by what lies on disk. */
export async function chromiumStorageOnDisk(profile: string, origin: string): Promise<ChromiumStorage | 'none'> {
  const { protocol, hostname, port } = new URL(origin)
  const name = `${protocol.slice(0, -1)}_${hostname}_${port || 0}`
  const entries = await readdir(join(profile, 'Default', 'IndexedDB')).catch((): string[] => [])
  if (entries.includes(`${name}.indexeddb.leveldb`)) return 'leveldb'
  return entries.includes(name) ? 'sqlite' : 'none'
}
