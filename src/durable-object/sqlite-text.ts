/** Names, lists and long texts as SQLite can take them. */

/** The most characters of one value, which may have 2 MB: a character has three bytes at most. */
export const mostCharacters = 524_288

/**
 * A name as SQLite keeps it: U+0000 and halves of characters, which become something else there, are escaped as in JSON.
 * Different names stay different.
 */
export const sqlText = (text: string): string => JSON.stringify(text).slice(1, -1)

/** The name that {@link sqlText} was made of. */
export const plainText = (text: string): string => JSON.parse(`"${text}"`) as string

/** JSON arrays of texts that are short enough for one value of a statement. */
export function jsonLists(values: Iterable<unknown>): string[] {
  const lists: string[] = []
  let list = ''
  for (const value of values) {
    const text = JSON.stringify(value)
    if (list.length + text.length > mostCharacters) {
      lists.push(`[${list}]`)
      list = ''
    }
    list += list === '' ? text : `,${text}`
  }
  if (list !== '') lists.push(`[${list}]`)
  return lists
}
