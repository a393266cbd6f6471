import { fileURLToPath } from 'node:url'

// The tools lie above the app, which a real app has in its own folder.
const root = fileURLToPath(new URL('../..', import.meta.url))
export default { turbopack: { root }, outputFileTracingRoot: root }
