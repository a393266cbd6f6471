import type { Build } from './builds.mjs'

/** One import of the package, and what it may cost. Sizes are bytes after brotli. */
export interface Budget {
  readonly title: string
  readonly entry: string
  /** What is imported, `*` for everything. */
  readonly names: string
  readonly budget: number
  readonly aim?: number
  /** Folders and files of which nothing may be in the bundle … */
  readonly without?: readonly string[]
  /** … but these files. */
  readonly but?: readonly string[]
}

export const budgets: readonly Budget[]

/** What `tidemark()` may add to the functions that it uses. */
export const appLayer: { readonly names: string; readonly over: string; readonly budget: number; readonly aim: number }

export function measureAppLayer(): Promise<number>

export const syncLayer: { readonly budget: number; readonly aim: number }

export function measureSyncLayer(): Promise<number>

export function measureSize(
  budget: Budget,
): Promise<{ readonly bytes: number; readonly minified: number; readonly foreign: readonly string[] }>
export function bundle(source: string, build?: Build): Promise<{ code: string; modules: string[] }>

export const syncedUses: readonly {
  readonly title: string
  readonly source: string
  readonly local: string
  readonly budget: number
}[]
export function measureUse(use: {
  readonly source: string
  readonly local: string
}): Promise<{ readonly bytes: number; readonly local: number }>
