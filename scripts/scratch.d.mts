export function scratch(machine?: {
  readonly given?: string | undefined
  readonly memory?: string
  readonly space?: number
  readonly free?: number
}): string
