/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `await using`, where the engine has it. Some engines have no `Symbol.asyncDispose` yet, so a method of that name is
 * added at run time.
 */
export function disposable<T extends { [Symbol.asyncDispose](): Promise<void> }>(
  methods: Omit<T, typeof Symbol.asyncDispose>,
  dispose: () => Promise<void>,
): T {
  if (typeof Symbol.asyncDispose === 'symbol')
    Object.defineProperty(methods, Symbol.asyncDispose, { value: () => dispose() })
  return methods as T
}
