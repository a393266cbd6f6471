/** The first characters of a text, and never half of one. @param most in UTF-16 code units */
export const cut = (text: string, most: number): string =>
  text.length <= most ? text : text.slice(0, most).replace(/[\ud800-\udbff]$/, '')
