import type { ParseArgsConfig } from 'node:util'

export declare function readFlags(
  url: string,
  options?: ParseArgsConfig['options'],
  how?: { allowPositionals?: boolean; args?: readonly string[] },
): { values: Record<string, string | boolean | undefined>; positionals: string[] }
