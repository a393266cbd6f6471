/** The code of a page of the docs, as one module: compiled, and run. */
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { transformWithOxc } from 'vite'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What the compiler says about a module: nothing, if it is right. `name`: of a folder in `.cache`. */
export async function compiled(name: string, module: string): Promise<string> {
  const at = join(root, '.cache', name)
  mkdirSync(at, { recursive: true })
  writeFileSync(join(at, 'guide.ts'), module)
  writeFileSync(
    join(at, 'tsconfig.json'),
    JSON.stringify({
      extends: '../../tsconfig.json',
      compilerOptions: { noEmit: true, noUnusedLocals: false },
      include: ['guide.ts', '../../src/platform/globals.d.ts'],
    }),
  )
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const { stdout } = await promisify(execFile)(process.execPath, [compiler, '-p', at]).catch(
    (error: { stdout: string }) => error,
  )
  return stdout
}

/** The blocks of a page in a language, in their order. */
export function blocksOf(page: string, language: string): string[] {
  const text = readFileSync(join(root, 'docs', page), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, block = '']) => block)
}

const importLine = /^import (?:(\w+)|(type )?\{([^}]*)\}) from '([^']+)'\n/gm

/** Blocks that follow each other. Each says what it imports, also what one before it did: here that is said once. */
export class Joined {
  readonly body: string
  /** By module. `default` has a name of its own. */
  readonly #imports = new Map<string, Map<string, string>>()

  constructor(blocks: readonly string[]) {
    this.body = blocks.join('\n').replace(importLine, (_, whole?: string, types = '', parts = '', from = '') => {
      const names = this.#imports.get(from) ?? new Map<string, string>()
      this.#imports.set(from, names)
      if (whole !== undefined) names.set(whole, 'default')
      for (const part of (parts as string).split(',').map((each) => each.trim()))
        if (part !== '') names.set(`${types}${part}`, '')
      return ''
    })
  }

  /** With imports on top. */
  get module(): string {
    const lines = Array.from(this.#imports, ([from, names]) => {
      const parts = Array.from(names, ([name, of]) => (of === 'default' ? `default as ${name}` : name))
      return `import { ${parts.join(', ')} } from '${from}'\n`
    })
    return `${lines.join('')}${this.body}`
  }

  /** What the compiler says about it: nothing, if it is right. */
  compile(name: string): Promise<string> {
    return compiled(name, this.module)
  }

  /**
   * Runs it, and returns what it calls by these names.
   *
   * @param modules what it imports, by name
   * @param replaced texts in place of others, such as a port
   */
  async run(
    modules: Readonly<Record<string, object>>,
    names: readonly string[],
    replaced: Readonly<Record<string, string>>,
  ): Promise<Record<string, unknown>> {
    let body = this.body
    for (const [text, by] of Object.entries(replaced)) {
      if (!body.includes(text)) throw new Error(`The page does not say ${text}.`)
      body = body.replaceAll(text, by)
    }
    const imports = Array.from(this.#imports, ([from, all]) => {
      const parts = Array.from(all, ([name, of]) => (of === 'default' ? `default: ${name}` : name))
      return `const { ${parts.filter((part) => !part.startsWith('type ')).join(', ')} } = modules['${from}'];\n`
    })
    const { code } = await transformWithOxc(body, 'guide.ts')
    const AsyncFunction = (async () => {}).constructor as new (
      ...parts: string[]
    ) => (...given: unknown[]) => Promise<Record<string, unknown>>
    return new AsyncFunction('modules', `${imports.join('')}${code}; return { ${names.join()} }`)(modules)
  }
}
