import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { chainBehind } from '../../../src/server/chain.js'
import { sha256, sha256ByHand } from '../../../src/server/sha-256.js'

const wanted = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex')

test.each([
  ['of the runtime', sha256],
  ['by hand', sha256ByHand],
])('the hash is that of the platform, for texts of every length around a block: %s', (_, sha256) => {
  for (let length = 0; length <= 200; length += 1) {
    const text = 'é'.repeat(length % 3) + 'x'.repeat(length)
    expect(sha256(text)).toBe(wanted(text))
  }
  for (const text of [
    'abc',
    '\u0000',
    'half \ud83d',
    '\udc00 other half',
    '\u{1f600}€'.repeat(500),
    'x'.repeat(1_000_000),
  ])
    expect(sha256(text)).toBe(wanted(text))
})

test('N56: a chain is the first half of the hash of the chain before and the lines', () => {
  const before = '0'.repeat(32)
  expect(chainBehind(before, ['{"a":1}', '{"b":2}'])).toBe(wanted(`${before}\n{"a":1}\n{"b":2}`).slice(0, 32))
})
