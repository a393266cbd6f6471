/** The bench page: the driver in Node calls `window.bench`, one run at a time. */
import { appendCases } from '../cases/append.js'
import type { Case, Run, Sizes } from '../cases/case.js'
import { projectionCase } from '../cases/catch-up-projection.js'
import { readCases } from '../cases/catch-up-read.js'

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

let cases: readonly Case[] = []

function find(name: string): Case {
  const found = cases.find((candidate) => candidate.name === name)
  if (found === undefined) throw new Error(`There is no case '${name}'`)
  return found
}

window.bench = {
  plan(sizes) {
    cases = [...appendCases(sizes), ...readCases(sizes), projectionCase(sizes)]
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
