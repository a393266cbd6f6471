import { fileURLToPath } from 'node:url'

const repository = fileURLToPath(new URL('../..', import.meta.url))

/** What the examples share, and the package itself, are outside of this folder. In an app of your own none of this is needed. */
export default {
  turbopack: { root: repository },
  outputFileTracingRoot: repository,
}
