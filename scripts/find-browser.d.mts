export interface FoundBrowser {
  readonly path: string
  readonly source: 'environment' | 'system' | 'playwright'
}
export function findChromium(): FoundBrowser | undefined
export function chromiumArgs(): string[]
export function findFirefox(): string | undefined
export function findWebKit(): string | undefined
export function findXvfb(): string | undefined
