/** Builds of the client that break a rule: each replaces a text that occurs once in a source file. */
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vite'

type Replacement = readonly [file: string, text: string, by: string]

const replacements = {
  /** A page is stored wherever the cursor is by then. */
  'no-cursor': [
    [
      'sync/rules/pulled.ts',
      'if (!isBy(state, page.by) || page.after.at !== cursor.at || page.after.chain !== cursor.chain) return undefined',
      'if (!isBy(state, page.by)) return undefined',
    ],
  ],
  /** Views lay the outbox over their rows as it is in memory, however old that is. */
  'stale-outbox': [
    [
      'sync/overlay/plan.ts',
      'let copy = await source.copy({ cursor: position, after: position, isKnown })',
      'let copy = await source.copy({ cursor: 0, after: position, isKnown: true })',
    ],
    [
      'sync/overlay/in-rows.ts',
      'if (ownFrom > after || (rows.identity === state.identity && state.cursor.at < rows.position))',
      'if (ownFrom > after)',
    ],
  ],
} as const satisfies Record<string, readonly Replacement[]>

export type ClientSabotage = keyof typeof replacements

export const clientSabotages = Object.keys(replacements) as ClientSabotage[]

export const replacementsOf = (how: ClientSabotage) =>
  replacements[how].map(([file, text, by]) => ({
    path: fileURLToPath(new URL(`../../src/${file}`, import.meta.url)),
    text,
    by,
  }))

export function sabotagedClient(how: ClientSabotage): Plugin {
  const all = replacementsOf(how)
  return {
    name: 'sabotaged-client',
    enforce: 'pre',
    transform(code, id) {
      const found = all.filter(({ path }) => path === id)
      if (found.length === 0) return undefined
      return found.reduce((before, { path, text, by }) => {
        if (before.split(text).length !== 2) throw new Error(`${path} does not hold once: ${text}`)
        return before.replace(text, by)
      }, code)
    },
  }
}
