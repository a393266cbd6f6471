// The mutants of `test/mutants/*.mjs`, and which of them no longer fit the code.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * @typedef {object} Mutant
 * @property {string} id
 * @property {string} file
 * @property {string} find the text that is changed; found exactly once in the file
 * @property {string} replace
 * @property {readonly string[]} tests the files that should notice
 * @property {string} breaks what goes wrong with it
 * @property {string} [equivalent] why no test can notice it; then it is not run
 */

/**
 * Reads the lists below `root`, in the order of their names.
 *
 * @param {string} root
 * @returns {Promise<(Mutant & { list: string })[]>}
 */
export async function readMutants(root) {
  const lists = join(root, 'test', 'mutants')
  const names = readdirSync(lists).filter((name) => name.endsWith('.mjs'))
  const read = names.sort().map(async (list) => {
    const { default: mutants } = await import(pathToFileURL(join(lists, list)).href)
    return mutants.map((mutant) => ({ ...mutant, list }))
  })
  return (await Promise.all(read)).flat()
}

/**
 * Says of each mutant that no longer fits the code what is wrong with it. Such an entry proves nothing.
 *
 * @param {readonly (Mutant & { list: string })[]} mutants
 * @param {string} root
 * @returns {string[]}
 */
export function staleMutants(mutants, root) {
  return mutants.flatMap((mutant) =>
    problemsOf(mutant, root).map((problem) => `${mutant.list} ${mutant.id}: ${problem}`),
  )
}

function problemsOf({ file, find, replace, tests, equivalent }, root) {
  const missing = equivalent === undefined ? tests.filter((test) => !existsSync(join(root, test))) : []
  return [
    ...problemsOfText(file, find, root),
    ...(find === replace ? ['it changes nothing'] : []),
    ...(equivalent === undefined && tests.length === 0 ? ['it names no test'] : []),
    ...missing.map((test) => `there is no ${test}`),
  ]
}

function problemsOfText(file, find, root) {
  if (!existsSync(join(root, file))) return [`there is no ${file}`]
  const times = readFileSync(join(root, file), 'utf8').split(find).length - 1
  return times === 1 ? [] : [`its text is found ${times} times in ${file}, not once`]
}
