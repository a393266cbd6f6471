import type { VitestReport } from './failures.mjs'

export interface Skipped {
  readonly name: string
  /** What the test says. */
  readonly why?: string | undefined
}

/** The part of a suite in Playwright's JSON report that is read. */
interface Suite {
  readonly suites?: readonly Suite[]
  readonly specs?: readonly {
    readonly title: string
    readonly tests: readonly {
      readonly status: string
      readonly annotations?: readonly { readonly type: string; readonly description?: string }[]
    }[]
  }[]
}

export function vitestSkipped(report: VitestReport, root: string): Skipped[]
export function playwrightSkipped(report: { readonly suites: readonly Suite[] }): Skipped[]
export function skippedLine(
  skipped: readonly Skipped[],
  lacks: readonly { readonly of: RegExp; readonly why: string }[],
): string | undefined
