// The model of sync at length: node scripts/sync-model.mjs [--runs 10000] [--seed 1] [--style name] [--mutant id] [--mutants]
// `--fresh`: begins at a seed that was not used before, for a run each night, and prints it.
// `--mutants`: how many seeds it takes until each mutant of test/mutants/sync-model.mjs is caught.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, normalizePath } from 'vite'
import { readAs } from './builds.mjs'
import { readFlags } from './flags.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The model, of the source as it is or with a mutant in it. */
export async function bundledModel(mutant) {
  const outDir = await mkdtemp(join(tmpdir(), 'tidemark-sync-model-'))
  try {
    await build({
      root,
      configFile: false,
      logLevel: 'error',
      plugins: [mutated(shortReach), mutated(mutant), readAs('development')],
      build: {
        ssr: join(root, 'test/support/sync-model/run.ts'),
        outDir,
        minify: false,
        target: 'node20',
        rollupOptions: { output: { entryFileNames: 'model.mjs' } },
      },
    })
    return await import(pathToFileURL(join(outDir, 'model.mjs')).href)
  } finally {
    await rm(outDir, { recursive: true, force: true })
  }
}

/** Logs of the model are short: a server looks back less far for conditions, so that devices have to. */
const shortReach = {
  id: 'reach',
  file: 'src/wire/protocol.ts',
  find: 'export const conditionReach = 10_000',
  replace: 'export const conditionReach = 30',
}

function mutated(mutant) {
  const file = mutant && normalizePath(join(root, mutant.file))
  return {
    name: 'mutant',
    enforce: 'pre',
    transform(code, id) {
      if (normalizePath(id) !== file) return undefined
      const parts = code.split(mutant.find)
      if (parts.length !== 2) throw new Error(`${mutant.id}: its text is in ${mutant.file} ${parts.length - 1} times`)
      return parts.join(mutant.replace)
    },
  }
}

/** The figures of all runs, and the failures. */
export async function runModel(
  { run },
  { seed, runs, until = Infinity, options, onFailure = () => {}, onProgress = () => {} },
) {
  const totals = {}
  const failures = []
  const start = performance.now()
  for (let at = seed; at < seed + runs && failures.length < until; at += 1) {
    try {
      for (const [what, count] of Object.entries(await run(at, options))) totals[what] = (totals[what] ?? 0) + count
    } catch (error) {
      failures.push({ seed: at, message: error.message })
      onFailure(error)
    }
    if ((at - seed + 1) % 250 === 0) onProgress({ runs: at - seed + 1, failures: failures.length })
  }
  return { totals, failures, seconds: (performance.now() - start) / 1000 }
}

async function main() {
  const { values } = readFlags(import.meta.url, {
    runs: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    fresh: { type: 'boolean', default: false },
    style: { type: 'string' },
    until: { type: 'string', default: '3' },
    mutant: { type: 'string' },
    mutants: { type: 'boolean', default: false },
    stack: { type: 'boolean', default: false },
  })
  const runs = Number(values.runs)
  // Each second has 1,000 seeds of its own, and a run takes far less of them.
  const seed = values.fresh ? Math.floor(Date.now() / 1000) * 1000 : Number(values.seed)
  if (values.fresh) console.log(`nightly: seeds from ${seed}`)
  const mutants = values.mutants || values.mutant ? (await import('../test/mutants/sync-model.mjs')).default : []
  if (!values.mutants) {
    const mutant = mutants.find(({ id }) => id === values.mutant)
    const model = await bundledModel(mutant)
    const onFailure = (error) => console.log(values.stack ? error.stack : error.message)
    const { totals, failures, seconds } = await runModel(model, {
      seed,
      runs,
      options: { style: values.style },
      onFailure,
      onProgress: (so) => console.error(JSON.stringify(so)),
    })
    console.log(JSON.stringify({ ...totals, failures: failures.length, seconds: Math.round(seconds) }))
    process.exitCode = failures.length > 0 ? 1 : 0
    return
  }
  const chosen = values.mutant?.split(',')
  for (const mutant of mutants.filter(({ id }) => chosen?.includes(id) ?? true)) {
    const model = await bundledModel(mutant)
    const { failures } = await runModel(model, {
      seed,
      runs,
      until: Number(values.until),
      options: { style: values.style },
    })
    console.log(
      mutant.id,
      failures.length === 0 ? `is not caught in ${runs} runs` : failures.map((each) => each.message).join(' | '),
    )
    if (failures.length === 0) process.exitCode = 1
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main()
