/** Builds of the client that break a rule: each replaces a text that occurs once in a source file. */
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vite'

const replacements = {
  /** A page is stored wherever the cursor is by then. */
  'no-cursor': [
    'sync/rules/pulled.ts',
    'if (!isBy(state, page.by) || page.after.at !== cursor.at || page.after.chain !== cursor.chain) return undefined',
    'if (!isBy(state, page.by)) return undefined',
  ],
} as const satisfies Record<string, readonly [file: string, text: string, by: string]>

export type ClientSabotage = keyof typeof replacements

export const clientSabotages = Object.keys(replacements) as ClientSabotage[]

export function sabotagedClient(how: ClientSabotage): Plugin {
  const [file, text, by] = replacements[how]
  const path = fileURLToPath(new URL(`../../src/${file}`, import.meta.url))
  return {
    name: 'sabotaged-client',
    enforce: 'pre',
    transform(code, id) {
      if (id !== path) return undefined
      if (code.split(text).length !== 2) throw new Error(`${file} does not hold once: ${text}`)
      return code.replace(text, by)
    },
  }
}
