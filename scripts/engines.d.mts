export const engineNames: readonly string[]
export function whyMissing(name: string): string | undefined
