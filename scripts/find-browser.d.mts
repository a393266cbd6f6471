export interface FoundBrowser {
  readonly path: string
  readonly source: 'environment' | 'system' | 'playwright'
}
export function findChromium(): FoundBrowser | undefined
export function chromiumArgs(): string[]
