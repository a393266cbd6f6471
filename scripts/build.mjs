// npm run build: `dist/`, from nothing, so that no file of an older build is packed. As `prepare` it also runs before
// `npm pack`, and where the package is installed from git.
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { MINUTE, runTool, tool } from './run-tool.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

if (process.argv.includes('--if-possible') && !existsSync(join(root, 'node_modules', 'typescript'))) {
  // `npm install --omit=dev` in a checkout runs `prepare` without the compiler.
  console.log('tidemark was not built: TypeScript is not installed. Run `npm install`, then `npm run build`.')
} else {
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  const problem = await runTool(tool('typescript', 'bin/tsc'), ['-p', 'tsconfig.build.json'], 5 * MINUTE)
  if (problem) {
    console.error(`The build failed: ${problem}`)
    process.exitCode = 1
  }
}
