// React 18 for a project of the tests. It cannot be a dependency next to React 19: `react-dom` wants the `react` of its version.
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vitest/config'
import { installed } from '../../support/installed.js'

const here = fileURLToPath(new URL('.', import.meta.url))

/** Installs it before the server of the project begins to look for packages, once for each lock file. */
export function installReact18(): Plugin {
  return { name: 'install-react-18', configureServer: () => void installed(here) }
}
