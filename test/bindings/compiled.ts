/** Components as an app has them: compiled by the plugin of their framework, for a browser or for a server. */
import vue from '@vitejs/plugin-vue'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { fileURLToPath } from 'node:url'
import { build, type PluginOption, type Rollup } from 'vite'
import solid from 'vite-plugin-solid'
import type { BrowserCommand } from 'vitest/node'
import { readAs } from '../../scripts/builds.mjs'

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** What compiles the components of each framework. */
export const plugins = {
  vue: (): PluginOption => vue(),
  svelte: (): PluginOption => svelte({ configFile: false }),
  solid: (): PluginOption => solid({ ssr: true }),
}

/** The bindings that are tested by components that have to be compiled. */
export type Framework = keyof typeof plugins

/** `apps/<framework>-<side>` and all that it imports as one module, development builds throughout. */
export async function compile(framework: Framework, side: 'client' | 'server'): Promise<string> {
  const { output } = (await build({
    configFile: false,
    logLevel: 'error',
    mode: 'development',
    plugins: [readAs('development'), plugins[framework]()],
    resolve: { alias: [{ find: /^tidemark\/(vue|svelte|solid)$/, replacement: path('../../src/bindings/$1.ts') }] },
    define: { 'process.env.NODE_ENV': '"development"' },
    ssr: { noExternal: true },
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      modulePreload: false,
      ssr: side === 'server',
      rollupOptions: {
        input: path(`apps/${framework}-${side}.js${framework === 'solid' ? 'x' : ''}`),
        preserveEntrySignatures: 'strict',
        output: { format: 'es', codeSplitting: false },
      },
    },
  })) as Rollup.RollupOutput
  return output[0].code
}

export const compiled: BrowserCommand<[framework: Framework, side: 'client' | 'server']> = (
  _context,
  framework,
  side,
) => compile(framework, side)

declare module 'vitest/browser' {
  interface BrowserCommands {
    compiled(framework: Framework, side: 'client' | 'server'): Promise<string>
  }
}
