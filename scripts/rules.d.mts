/** A text of the project. */
export interface Text {
  /** From the root of the project, with `/`. */
  readonly file: string
  readonly text: string
}

/** A rule of docs/rules.md, or a hazard of docs/hazards.md. */
export interface Rule {
  readonly id: string
  readonly anchor: string
  readonly file: string
  readonly text: string
  /** Whether it should have one: it does not say "No test". */
  readonly hasTest: boolean
}

export function readTexts(): Text[]
export function readBooks(read?: (file: string) => string): Rule[]
export function citationsIn(text: Text, families: ReadonlySet<string>): string[]
export function coveredIn(text: string): string[]
export function coverage(files?: readonly Text[]): Map<string, string[]>
