/** The bench page: the driver in Node calls `window.bench`, one run at a time. */
import { peers } from 'bench:peers'
import { appendCases } from '../cases/append.js'
import type { Case, Run, Sizes } from '../cases/case.js'
import { projectionCase } from '../cases/catch-up-projection.js'
import { readCases } from '../cases/catch-up-read.js'
import { streamCase } from '../cases/stream-read.js'
import { appendAndModelCase, oneEventCase } from '../cases/systems.js'
import { tidemark } from '../cases/tidemark.js'
import { byHand } from '../raw/system.js'

export interface BenchPage {
  /** Makes the cases, and answers their names with those of their contenders. */
  plan(sizes: Sizes): { name: string; contenders: string[] }[]
  setUp(name: string): Promise<void>
  run(name: string, contender: string): Promise<Run>
  tearDown(name: string): Promise<void>
}

declare global {
  interface Window {
    bench: BenchPage
    /** There because the driver starts the browser with `--expose-gc`. */
    gc?: () => void
  }
}

const systems = [tidemark, byHand, ...peers]
let cases: readonly Case[] = []

function find(name: string): Case {
  const found = cases.find((candidate) => candidate.name === name)
  if (found === undefined) throw new Error(`There is no case '${name}'`)
  return found
}

window.bench = {
  plan(sizes) {
    cases = [
      ...appendCases(sizes), ...readCases(sizes), streamCase(sizes), projectionCase(sizes),
      appendAndModelCase(systems, sizes), oneEventCase(systems, sizes),
    ]
    return cases.map(({ name, contenders }) => ({ name, contenders: contenders.map((contender) => contender.name) }))
  },
  async setUp(name) {
    await find(name).setUp?.()
  },
  async run(name, contender) {
    const found = find(name).contenders.find((candidate) => candidate.name === contender)
    if (found === undefined) throw new Error(`Case '${name}' has no contender '${contender}'`)
    // Nobody pays for the garbage of the contender before.
    window.gc?.()
    return found.run()
  },
  async tearDown(name) {
    await find(name).tearDown?.()
  },
}
