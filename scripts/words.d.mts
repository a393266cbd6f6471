/** Something to change in a text: what was found, and what to write instead. */
export interface WordFinding {
  readonly line: number
  readonly found: string
  readonly use: string
}

export const words: readonly { readonly pattern: RegExp; readonly use: string }[]
export const longestParagraph: number
export const longestCell: number

export function proseOfSource(source: string): { readonly line: number; readonly text: string }[]
export function proseOfMarkdown(
  source: string,
): { readonly kind: 'paragraph' | 'heading' | 'cell'; readonly line: number; readonly lines: readonly string[] }[]
export function wordFindings(path: string, text: string): WordFinding[]
export function checkedFiles(from?: string): string[]
export function readChecked(path: string): string
