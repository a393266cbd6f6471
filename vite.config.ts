import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

/** The package by its own name, so that demo, bench and tests import what a user imports. */
const alias = [
  { find: /^tidemark$/, replacement: source('index.ts') },
  { find: /^tidemark\/memory$/, replacement: source('memory/index.ts') },
  { find: /^tidemark\/testing$/, replacement: source('testing/index.ts') },
]

export default defineConfig({
  resolve: { alias },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          environment: 'node',
          include: ['test/unit/**/*.test.ts', 'test/contract/**/*.node.test.ts'],
        },
      },
    ],
  },
})
