// The tools that check components. They cannot be dependencies of the repository: they run on a TypeScript that is written in
// JavaScript, and look for it by its name.
import { fileURLToPath } from 'node:url'
import { installed } from '../support/installed.js'

const here = fileURLToPath(new URL('.', import.meta.url))

/** Installs them, once for each lock file. Returns where they are. */
export const installComponentTools = (): string => installed(here)
