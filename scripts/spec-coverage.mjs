// Writes docs/spec-coverage.md from the test names: `node scripts/spec-coverage.mjs`.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

const totals = { V: 20, S: 20, R: 10, K: 5, L: 6, P: 30, X: 30, N: 46 }
const reasons = {
  S8: 'types are checked by the catalogue; streams are not typed', S10: 'no snapshots yet', S11: 'no snapshots yet',
  S15: 'nothing in the API changes or deletes an event', S20: 'a browser store is shared on purpose', X28: 'no snapshots yet', X29: 'no snapshots yet',
}
const files = ['test', 'src/testing'].flatMap((root) => readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts')).map((path) => `${root}/${path}`)).sort()
const covered = new Map()
for (const file of files) {
  for (const [, title] of readFileSync(file, 'utf8').matchAll(/['"`]((?:[VSRKLPNXH]\d+)[^'"`\n]* [^'"`\n]*)['"`]/g)) {
    for (const [, letter, from, to] of title.matchAll(/\b([VSRKLPNX])(\d+)(?:\s*[–-]\s*[VSRKLPNX]?(\d+))?/g)) {
      for (let n = Number(from); n <= Number(to ?? from); n += 1) covered.set(`${letter}${n}`, (covered.get(`${letter}${n}`) ?? new Set()).add(file))
    }
  }
}
const cases = Object.entries(totals).flatMap(([letter, count]) => Array.from({ length: count }, (_, index) => `${letter}${index + 1}`))
const row = (id) => `| ${id} | ${covered.has(id) ? [...covered.get(id)].map((file) => `\`${file}\``).join(', ') : (reasons[id] ?? 'not yet')} |`
writeFileSync('docs/spec-coverage.md', [
  '# Which test covers which SPEC case', '',
  'Read off the test names by `node scripts/spec-coverage.mjs`. "not yet" means that no test carries the number, whatever the code does.', '',
  '| case | where |', '| --- | --- |', ...cases.map(row), '',
].join('\n'))
console.log(`${cases.filter((id) => covered.has(id)).length} of ${cases.length} cases have a test`)
