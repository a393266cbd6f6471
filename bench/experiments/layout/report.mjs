// Turns the JSON of one engine into Markdown.

export function report(name, result) {
  if (result.absent) return `## ${name}\n\nAbsent on this machine.\n`
  const lines = [
    `## ${name}`,
    '',
    `${result.engine ?? ''}; databases ${result.onDisk ? 'seen on disk as expected' : 'NOT seen on disk'}`,
    '',
  ]
  if (result.error) lines.push(`Error: ${result.error}`, '')
  const { capabilities, clearSiteData, ...timed } = result.parts ?? {}
  if (capabilities) {
    const failed = Object.entries(capabilities).filter(([, outcome]) => outcome !== 'pass')
    lines.push(
      `Capabilities: ${Object.keys(capabilities).length - failed.length} of ${Object.keys(capabilities).length} pass.`,
    )
    for (const [what, outcome] of failed) lines.push(`- ${what}: ${outcome}`)
    lines.push('')
  }
  for (const cases of Object.values(timed))
    for (const [caseName, byName] of Object.entries(cases)) lines.push(...table(caseName, byName), '')
  if (clearSiteData) lines.push(`After Clear-Site-Data: ${JSON.stringify(clearSiteData)}`, '')
  return lines.join('\n')
}

/** speed = median time of the first row / median time of this one; its range is over the pairs of one round. A and its control count together. */
export function table(caseName, byName) {
  const names = Object.keys(byName).sort((a, b) => baseline.includes(b) - baseline.includes(a) || (a < b ? -1 : 1))
  const control = byName['A (control)']
  const first = byName[names[0]]
  const base = median(control ? [...first, ...control] : first)
  const rows = names.map((name) => {
    const times = byName[name]
    const pairs = times.map((ms, round) => (control ? (first[round] + control[round]) / 2 : first[round]) / ms)
    return `| ${name} | ${median(times).toFixed(1)} | ${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)} | ${(base / median(times)).toFixed(2)} | ${Math.min(...pairs).toFixed(2)} to ${Math.max(...pairs).toFixed(2)} |`
  })
  return [`| ${caseName} | median ms | min to max | speed | in one round |`, '|---|---:|---:|---:|---:|', ...rows]
}

const baseline = ['A', 'raw', 'get, then put + put + commit', 'string, position given after parse', 'a record per row']

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2
}
