/** What a nightly test measured: shown with the run, and written into docs/nightly.md by hand. */
import { test, type BrowserContext } from '@playwright/test'

export function publish(context: BrowserContext, what: string, numbers: Readonly<Record<string, unknown>>): void {
  const line = `${what} | Chromium ${context.browser()?.version()} | ${Object.entries(numbers)
    .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
    .join(', ')}`
  test.info().annotations.push({ type: 'nightly', description: line })
  console.log(`nightly: ${test.info().project.name} | ${line}`)
}

/** For times: a few that say most. */
export function spread(times: readonly number[]): { median: number; p99: number; max: number } {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
  return { median: at(0.5), p99: at(0.99), max: at(1) }
}
