/**
 * Texts for people. The development build has them in full. Of the production build they would be a tenth, so there a
 * message consists of the error's code, the inserted values, and the address of the page that explains the error.
 */

/**
 * A text of which the production build keeps the inserted values only, joined by commas: the build turns `say` with a
 * template into a call with the values. Texts can be inserted into each other; one without values is empty there.
 */
export const say: (strings: TemplateStringsArray, ...values: readonly unknown[]) => string = __DEV__
  ? (strings, ...values) => String.raw({ raw: strings }, ...values)
  : (...values: readonly unknown[]) => values.filter((value) => value !== '').join(', ')

const pages = 'https://tidemark.example/errors/'

/**
 * A message that is not of an error, such as that of a status: in the production build `kind` comes first, so that it
 * is never empty.
 */
export const notice = (kind: string, body: string): string => (__DEV__ ? body : body === '' ? kind : `${kind}: ${body}`)

/** The message of an error: what happened, and the address of its page, once, whatever other messages are inserted. */
export function messageFor(code: string, body: string): string {
  const own = notice(code, body).replace(new RegExp(`\\.? See ${pages}[\\w-]+`, 'g'), '')
  return `${own.replace(/[^.?!]$/, '$&.')} See ${pages}${code}`
}
