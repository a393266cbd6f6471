export interface Mutant {
  readonly id: string
  readonly list: string
  readonly file: string
  readonly find: string
  readonly replace: string
  readonly tests: readonly string[]
  readonly breaks: string
  readonly equivalent?: string
}
export function readMutants(root: string): Promise<Mutant[]>
export function staleMutants(mutants: readonly Mutant[], root: string): string[]
