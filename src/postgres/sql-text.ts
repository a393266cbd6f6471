/**
 * Names, ids and authors as PostgreSQL can store them: its `text` has neither U+0000 nor half of a surrogate pair. Such a
 * character becomes U+0001 and one more; U+0001 as well, so that every text has one form only. What is true of prefixes
 * and of order (by code points, which is the order of the collation "C") among texts without halves stays true.
 */
// oxlint-disable-next-line no-control-regex
const odd = /[\u0000\u0001]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g
// oxlint-disable-next-line no-control-regex
const marked = /\u0001([\s\S])/g

/** Halves of pairs are kept as characters of this private area. */
const halves = 0xe000 - 0xd800

const lastMark = 2

export function toSqlText(text: string): string {
  return text.replace(odd, (one) => {
    const code = one.charCodeAt(0)
    return `\u0001${code < lastMark ? String(code) : String.fromCharCode(code + halves)}`
  })
}

export function fromSqlText(text: string): string {
  if (!text.includes('\u0001')) return text
  return text.replace(marked, (_, one: string) =>
    one === '0' || one === '1' ? String.fromCharCode(Number(one)) : String.fromCharCode(one.charCodeAt(0) - halves),
  )
}

/** A name within a statement. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
