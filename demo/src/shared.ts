/** What all tabs share in addition to the log: a few words in `localStorage`, whose `storage` event tells the other tabs. */

export type FailurePolicy = 'park' | 'hold' | 'stop'

const prefix = 'flight-desk:'
const read = (name: string) => localStorage.getItem(prefix + name)
const write = (name: string, value: string | null) => {
  if (value === null) localStorage.removeItem(prefix + name)
  else localStorage.setItem(prefix + name, value)
}
const version = (text: string | null) => {
  const number = Number(text)
  return Number.isSafeInteger(number) && number > 0 ? number : null
}

export const shared = {
  /** The version of the board on show. */
  get version(): number {
    return version(read('version')) ?? 1
  },
  set version(version: number) {
    write('version', String(version))
  },
  /** The version being built, or null. */
  get next(): number | null {
    return version(read('next'))
  },
  set next(version: number | null) {
    write('next', version === null ? null : String(version))
  },
  /** Whether the handler copes with a landing without a destination. */
  get fixed(): boolean {
    return read('fixed') === 'yes'
  },
  set fixed(fixed: boolean) {
    write('fixed', fixed ? 'yes' : 'no')
  },
  /** What happens to an event at which the handler throws. */
  get policy(): FailurePolicy {
    const policy = read('policy')
    return policy === 'stop' || policy === 'hold' ? policy : 'park'
  },
  set policy(policy: FailurePolicy) {
    write('policy', policy)
  },
}

/** Calls back when another tab changed one of them. */
export function onSharedChange(listener: () => void): void {
  addEventListener('storage', (event) => {
    if (event.key === null || event.key.startsWith(prefix)) listener()
  })
}
