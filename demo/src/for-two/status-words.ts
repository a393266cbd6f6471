/** What a device and the server are doing, in plain words. */
import { counted } from '../numbers.js'
import type { SyncStatus } from './device.js'

export interface StatusWords {
  readonly sentence: string
  readonly state: 'online' | 'working' | 'offline' | 'trouble'
}

const reasons: Readonly<Partial<Record<NonNullable<SyncStatus['reason']>, string>>> = {
  'other-log': 'The server has another board under this link. Start a new one.',
  'newer-protocol': 'The server is newer than this page. Reload it.',
  'newer-format': 'A newer version of this page wrote here. Reload it.',
  'storage-full': 'This device has no space left for more.',
  'storage-failed': 'The storage of this device failed.',
  diverged: 'The server was restored from a backup, and what it lost cannot be given back.',
  'by-hand': 'Sync is paused.',
}

/** What waits on this device, as a sentence. */
function waits({ pending }: SyncStatus): string {
  return pending === 0
    ? 'Nothing waits.'
    : `${counted(pending, 'change')} ${pending === 1 ? 'waits' : 'wait'} on this device.`
}

export function wordsOfStatus(status: SyncStatus, airplane: boolean): StatusWords {
  if (airplane) return { sentence: `Airplane mode. ${waits(status)}`, state: 'offline' }
  const { status: phase, reason, pending, behind, message = '' } = status
  const why = (reason && reasons[reason]) ?? message
  switch (phase) {
    case 'idle':
      return behind > 0
        ? {
            sentence: `${counted(behind, 'change')} wait for a device that has what the server lost.`,
            state: 'working',
          }
        : { sentence: 'In step with the server.', state: 'online' }
    case 'working':
      return {
        sentence: pending > 0 ? `Sending ${counted(pending, 'change')} …` : 'Fetching what is new …',
        state: 'working',
      }
    case 'following':
      return { sentence: `Another window of this device syncs. ${waits(status)}`, state: 'online' }
    case 'offline':
      return { sentence: `The server does not respond. ${waits(status)}`, state: 'offline' }
    case 'healing':
      return { sentence: 'The server was restored: this device gives back what it lost …', state: 'working' }
    case 'waiting':
      return { sentence: `${why === '' ? 'The server asked to wait.' : why} ${waits(status)}`, state: 'offline' }
    case 'paused':
    case 'stopped':
      return { sentence: `${why === '' ? 'Sync has stopped.' : why} ${waits(status)}`, state: 'trouble' }
  }
}
