// The test of a component that the guide shows, as it is there.
import { expect, test } from 'vitest'
import 'guide:basket.test.tsx'

/** Every text that the component had. */
const seen: string[] = []
new MutationObserver(() => seen.push(document.body.textContent ?? '')).observe(document.body, {
  subtree: true,
  childList: true,
  characterData: true,
})

test('it showed what was added, and never more', () => {
  const counts = seen.flatMap((text) => /(\d+) items/.exec(text)?.[1] ?? [])
  expect([...new Set(counts)]).toEqual(['0', '2'])
})
