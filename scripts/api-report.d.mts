export interface ApiReport {
  readonly text: string
  readonly undocumented: readonly string[]
  readonly unexported: readonly string[]
}
export function apiReport(folder: string): ApiReport
export function readSurface(folder: string, names?: Readonly<Record<string, string>>): ApiReport
