// What can be asked for, and how much work that is.
import { readFlags } from '../../scripts/flags.mjs'

const quick = {
  single: 500,
  batches: 50,
  bulk: 10_000,
  log: 100_000,
  smallCommits: 20_000,
  naive: 1_000,
  modelled: 10_000,
  waits: 40,
  liveWaits: 10,
  coldOpen: [],
  scale: [],
  throttle: 1,
  pulled: 100_000,
  pulledByPeers: 20_000,
  pulledAtOnce: 0,
  adopted: 0,
  remoteWaits: 30,
  drained: 10_000,
  pending: 20_000,
  compaction: false,
}
const full = {
  ...quick,
  smallCommits: 100_000,
  coldOpen: [10_000, 100_000],
  scale: [10_000, 100_000, 1_000_000],
  throttle: 4,
  pulledAtOnce: 1_000_000,
  adopted: 20_000,
  compaction: true,
}

/** @param {string} url of the script, whose flags they are */
export function readOptions(url) {
  const { values } = readFlags(url, {
    quick: { type: 'boolean' },
    engine: { type: 'string' },
    only: { type: 'string' },
    profile: { type: 'string' },
    peers: { type: 'boolean' },
    'no-peers': { type: 'boolean' },
  })
  const isQuick = values.quick === true
  return {
    mode: isQuick ? 'quick' : 'full',
    sizes: isQuick ? quick : full,
    /** With the first one, which is thrown away. */
    rounds: isQuick ? 9 : 8,
    /** No further round starts after so long; at least three are kept. */
    softLimit: isQuick ? 60_000 : 20 * 60_000,
    /** Installed when they are first asked for. */
    peers: (!isQuick || values.peers === true) && !values['no-peers'],
    engine: values.engine ?? 'chromium-leveldb',
    /** Only cases whose name has this in it. */
    only: values.only,
    /** Take CPU profiles of contenders whose name has this in it. */
    profile: values.profile,
  }
}
