/** Cases of a contract that a backend is not held to, by their titles. The file that leaves one out says why. */
import { test } from 'vitest'

export const leavingOut = (titles: readonly string[]) =>
  Object.assign(
    (title: string, work: () => Promise<void>): void => (titles.includes(title) ? test.skip : test)(title, work),
    { for: test.for.bind(test) as typeof test.for },
  )
