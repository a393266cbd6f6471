// tidemark/react in a browser: React 19, and in the project `react-18` the oldest one that is supported.
import { version } from 'react'
import { expect, inject, test } from 'vitest'
import { bindingContract } from './contract.js'
import { reactDriver } from './react-driver.js'

bindingContract(reactDriver())
bindingContract(reactDriver({ strict: true }))

test('this is the React of the project', () => {
  expect(version.split('.')[0]).toBe(inject('react'))
})
