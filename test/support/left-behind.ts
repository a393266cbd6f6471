// Runs before each file of the Node suite. With `npm run test:node` these files share processes, so a file that leaves
// something behind, which could change what the next file sees, fails.
import { afterAll, expect, vi } from 'vitest'
import { globals, rememberAll } from './what-changed.js'

const changed = rememberAll(globals())

afterAll(() => {
  // As vitest does after each file.
  vi.restoreAllMocks()
  const left = vi.isFakeTimers() ? ['fake timers'] : changed()
  // Once, and not in each of the following files.
  vi.useRealTimers()
  vi.unstubAllGlobals()
  expect(left, 'globals that this file leaves changed').toEqual([])
})
