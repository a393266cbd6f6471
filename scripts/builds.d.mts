import type { Plugin } from 'vite'

export type Build = 'development' | 'production'

/** The code of a module in one of the builds; the lines stay where they are. The ending of `file` says whether it is TypeScript. */
export function codeFor(build: Build, code: string, file: string): string

/** What Vite and Rollup need to read the sources as one of the builds. */
export function readAs(build: Build): Plugin
