// What an error is called where an app is built for its users: names of classes are shortened there, and letters keep the name.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import * as tidemark from 'tidemark'
import { bundle } from '../../scripts/size.mjs'

const conflict = new tidemark.VersionConflictError({ stream: 's', expected: 1, actual: 2 })
/** What each is made with; for those that are not here anything will do. */
const made: Record<string, readonly unknown[]> = {
  TidemarkError: ['closed', 'text'],
  VersionConflictError: [conflict],
  CommandConflictError: [conflict, 2, ['s']],
  ProjectionFailedError: ['text', { projector: 'p', attempts: 1 }, new Error('cause')],
}

test(
  'every error has the name that it is exported by, also in a bundle that is minified',
  { timeout: 60_000 },
  async () => {
    const { code } = await bundle(`export * from 'tidemark'`)
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-names-'))
    try {
      const file = join(folder, 'bundle.mjs')
      await writeFile(file, code)
      const minified = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as Record<
        string,
        new (...args: readonly unknown[]) => Error
      >
      const names = Object.keys(tidemark).filter((name) => name.endsWith('Error'))
      expect(names.length).toBeGreaterThan(20)
      const shortened = names.filter((name) => minified[name]?.name !== name)
      expect(shortened, 'or this proves nothing').not.toEqual([])
      const called = names.map((name) => {
        const error = new (minified[name] as new (...args: readonly unknown[]) => Error)(...(made[name] ?? ['a', {}]))
        return [name, error.name]
      })
      // The base names what its code says.
      expect(called).toEqual(names.map((name) => [name, name === 'TidemarkError' ? 'ClosedError' : name]))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
)
