// How large and how deep a commit is, found in its text: as a parser and an encoder find it.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { utf8 } from '../../../src/sync/commit-text.js'
import { assertFits } from '../../../src/sync/limits.js'
import { maxDepth } from '../../../src/wire/protocol.js'

/** What makes the end of a string hard to find. */
const text = fc
  .array(fc.constantFrom('"', '\\', '[', '{', ']', '}', 'x', 'é', '字', '😀', '\u0000', '\ud800'), { maxLength: 20 })
  .map((signs) => signs.join(''))

const refusal = (data: string): unknown => {
  const event = { stream: 's', type: 'A', schema: 1, id: 'i', time: 0, data, meta: undefined }
  try {
    assertFits({ events: [event], pathOf: String } as unknown as Parameters<typeof assertFits>[0])
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

test('data is refused from 101 lists and objects deep on, whatever its texts hold', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ isList: fc.boolean(), before: text, behind: text }), {
        minLength: maxDepth - 2,
        maxLength: maxDepth + 2,
      }),
      text,
      (levels, innermost) => {
        let data: unknown = innermost
        for (const { isList, before, behind } of levels)
          data = isList ? [before, data, [behind]] : { [`${before}1`]: before, [`${behind}2`]: data }
        // The list next to a level is as deep as the next level.
        const deepest = levels.length + (levels[0]?.isList === true ? 1 : 0)
        const found = refusal(JSON.stringify(data))
        if (deepest > maxDepth) expect(found).toMatch(/nested more than 100 deep/)
        else expect(found).toBe(undefined)
      },
    ),
  )
})

test('text that is no JSON is looked at to its end', () => {
  expect(refusal(`"${'['.repeat(300)}`)).toBe(undefined)
})

test('the bytes of a text are those of its UTF-8, however long it is', () => {
  fc.assert(
    fc.property(text, fc.constantFrom(1, 30, 300), (given, times) => {
      const json = JSON.stringify(given.repeat(times))
      expect(utf8(json)).toBe(Buffer.byteLength(json))
    }),
  )
})
