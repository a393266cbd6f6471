// npm run build: `dist/` (the production build) and `dist/development/`, from nothing, so that no file of an older build is packed. It also runs
// before `npm pack` (`prepack`), and in a checkout, also one that npm makes of a git address, when dependencies were
// installed (`dependencies`). Of a `prepare` npm would warn: it counts as an install script.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { readFlags } from './flags.mjs'
import { MINUTE, runTool, tool } from './run-tool.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const { values } = readFlags(import.meta.url, { 'if-possible': { type: 'boolean' } })

if (values['if-possible'] && !existsSync(join(root, 'node_modules', 'typescript'))) {
  // `npm install --omit=dev` in a checkout has no compiler.
  console.log('tidemark was not built: TypeScript is not installed. Run `npm install`, then `npm run build`.')
} else {
  rmSync(dist, { recursive: true, force: true })
  const problem = await runTool(tool('typescript', 'bin/tsc'), ['-p', 'tsconfig.build.json'], 5 * MINUTE)
  if (problem) {
    console.error(`The build failed: ${problem}`)
    process.exitCode = 1
  } else {
    await writeBuilds()
  }
}

/** Makes both builds of what the compiler wrote. Both have the same declarations. */
async function writeBuilds() {
  // Not at the top: Vite is not there either where TypeScript is not.
  const { codeFor } = await import('./builds.mjs')
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'))) {
    const code = readFileSync(join(dist, file), 'utf8')
    const development = join(dist, 'development', file)
    mkdirSync(dirname(development), { recursive: true })
    writeFileSync(development, codeFor('development', code, file))
    writeFileSync(join(dist, file), codeFor('production', code, file))
  }
}
