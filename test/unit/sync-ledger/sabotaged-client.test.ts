/** What the ledger has to notice can be built: each sabotage of the client finds its texts. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { clientSabotages, replacementsOf, sabotagedClient } from '../../sync-ledger/sabotaged-client.js'

test.each(clientSabotages)("the client of '%s' is another one", (how) => {
  const { transform } = sabotagedClient(how) as { transform(code: string, id: string): string | undefined }
  for (const { path } of replacementsOf(how)) {
    const code = readFileSync(path, 'utf8')
    const changed = transform(code, path)
    expect(changed).toBeTypeOf('string')
    expect(changed).not.toBe(code)
  }
  expect(transform('', '/elsewhere.ts')).toBeUndefined()
  expect(() => transform('', replacementsOf(how)[0]?.path ?? '')).toThrow('does not hold once')
})
