// The declarations of the installed package, checked themselves (`skipLibCheck: false`), by the oldest TypeScript that is
// supported and by the one the package is built with, as each way of resolving modules finds them.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { apps, nodeTool } from './support.js'

const resolutions = { bundler: 'esnext', node16: 'node16', nodenext: 'nodenext' }

test.for(
  ['typescript54', 'typescript7'].flatMap((version) =>
    Object.entries(resolutions).map(([resolution, module]) => ({ version, resolution, module })),
  ),
)('$version, moduleResolution $resolution', async ({ version, resolution, module }) => {
  const config = `tsconfig.${version}.${resolution}.json`
  writeFileSync(
    join(apps, config),
    JSON.stringify({
      compilerOptions: {
        target: 'es2022',
        lib: ['es2022', 'dom', 'dom.iterable'],
        module,
        moduleResolution: resolution,
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        skipLibCheck: false,
        noEmit: true,
      },
      files: ['typed.ts'],
    }),
  )
  const { code, printed } = await nodeTool(`${version}/bin/tsc`, ['-p', config])
  expect(code, printed).toBe(0)
})
