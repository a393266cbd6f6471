// What the project promises: ratios of speeds (events per second) within one session. Numbers are those of the target list in bench/README.md.

const perCommit = 'raw, a record per commit (L6-string+commits)'
const perEvent = 'raw, a record per event (L1)'

/**
 * `speed` over `of`, both contenders of one case; `goal` is what the project aims at, `floor` what it started from.
 * @type {readonly { name: string, inCase: RegExp, speed: string, of: string, goal: number, floor: number }[]}
 */
export const targets = [
  { name: 'single append, of the raw layout', inCase: /^append one$/, speed: 'tidemark', of: perCommit, goal: 0.85, floor: 0.75 },
  { name: '100 per commit, over a record per event', inCase: /^append 100 per commit$/, speed: 'tidemark', of: perEvent, goal: 4, floor: 3 },
  { name: 'bulk append, over a record per event', inCase: /^append \d+ in one/, speed: 'tidemark', of: perEvent, goal: 12, floor: 8 },
  { name: 'catch-up read, records of 256, of raw', inCase: /^read, records of 256$/, speed: 'tidemark, readEvents', of: 'raw, getAll and JSON.parse', goal: 0.9, floor: 0.8 },
  { name: 'catch-up read, records of 1, of raw', inCase: /^read, records of 1$/, speed: 'tidemark, readEvents', of: 'raw, getAll and JSON.parse', goal: 0.9, floor: 0.8 },
  { name: 'catch-up projection (fold), of the raw read', inCase: /^project /, speed: 'tidemark, fold', of: 'raw, only reading', goal: 0.6, floor: 0.4 },
  { name: 'catch-up projection (get and put), of the raw read', inCase: /^project /, speed: 'tidemark, get and put', of: 'raw, only reading', goal: 0.6, floor: 0.4 },
  { name: 'catch-up projection (get and put), over a transaction per event', inCase: /^project /, speed: 'tidemark, get and put', of: 'raw, a transaction per event (P1)', goal: 200, floor: 100 },
]
