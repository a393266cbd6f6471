/** The examples that Vite builds. */
export const examples: readonly string[]
/** Builds an example into `outDir/<name>`, for `/<name>/` on a server. */
export function buildExample(name: string, outDir: string): Promise<void>
