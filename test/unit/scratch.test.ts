// Where profiles of browsers go.
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { scratch } from '../../scripts/scratch.mjs'

const GIB = 1024 ** 3

test('a folder in memory, unless there is none, or too little', () => {
  const memory = '/memory'
  expect(scratch({ given: '', memory, space: 8 * GIB, free: 8 * GIB })).toBe(memory)
  expect(scratch({ given: '', memory, space: 8 * GIB, free: 3 * GIB })).toBe(tmpdir())
  expect(scratch({ given: '', memory, space: 3 * GIB, free: 8 * GIB })).toBe(tmpdir())
  expect(scratch({ given: '', memory: '/no/such/folder', free: 8 * GIB })).toBe(tmpdir())
})

test('or the one that is asked for', () => {
  expect(scratch({ given: '/mnt/slow', memory: '/memory', space: 8 * GIB, free: 8 * GIB })).toBe('/mnt/slow')
})
