// Turns the JSON of a run into a page that needs nothing else: no script, no network, light or dark as the reader has it.
import { percentile, speedOf, targetsMet } from './figures.mjs'

/** @returns HTML */
export function draw(result) {
  const { browser, storage, cores, platform, mode, when, load, cases } = result
  const measured = targetsMet(cases)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tidemark: bench of ${when.slice(0, 10)}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>How fast is tidemark?</h1>
<p>${escape(`${when.slice(0, 10)}, ${browser} (${storage}), ${cores} cores, ${platform}, ${mode} run; load ${load.before.toFixed(1)} before and ${load.after.toFixed(1)} after.`)}
Bars are medians; the thin line goes from the slowest to the fastest round. Figures of two machines, or of two runs, cannot be compared; the ratios can.</p>
<p class="legend"><span class="tidemark">tidemark</span><span class="raw">IndexedDB by hand: the limit</span><span class="peer">other libraries</span></p>
${measured.length === 0 ? '' : `<h2>Targets</h2>\n<p>How much of its aim each ratio reaches. The upright line is the aim, the short mark is what the project started from.</p>\n${targetTable(measured)}`}
${cases.map(caseTable).join('\n')}
</main>
</body>
</html>
`
}

/** An aim is drawn at two thirds of the width, so that what exceeds it shows. */
const aimAt = 66

function targetTable(measured) {
  const rows = measured.map(({ label, ratio, least, most, goal, floor, met }) => {
    const x = (value) => Math.min(100, (value / goal) * aimAt)
    const svg = bar({
      kind: met === 'no' ? 'missed' : 'tidemark',
      to: x(ratio),
      line: [x(least), x(most)],
      marks: `<line class="aim" x1="${aimAt}" x2="${aimAt}" y1="0" y2="20"/><line class="floor" x1="${round(x(floor))}" x2="${round(x(floor))}" y1="14" y2="20"/>`,
      label: `${figure(ratio)} of an aim of ${figure(goal)}`,
    })
    return row(label, svg, `${figure(ratio)} of ${figure(goal)}`, met)
  })
  return table('target', 'measured', rows)
}

function caseTable({ name, contenders }) {
  const waits = contenders.some((contender) => contender.waits.length > 0)
  const value = (contender, ms) => (waits ? ms : speedOf(contender, ms) * 1000)
  const bars = contenders.map((contender) => ({
    contender,
    middle: value(contender, percentile(contender.times, 0.5)),
    ends: [Math.max, Math.min].map((end) => value(contender, end(...contender.times))),
  }))
  const most = Math.max(...bars.flatMap(({ ends }) => ends))
  const rows = bars.map(({ contender, middle, ends }) => {
    const text = waits ? `${figure(middle)} ms` : `${Math.round(middle).toLocaleString('en')} events/s`
    const { longTasks, inputDelays = [] } = contender
    const felt =
      inputDelays.length === 0
        ? ''
        : `${longTasks.length / contender.times.length} long tasks a run, a key waits ${figure(percentile(inputDelays, 0.99))} ms (p99)`
    return row(
      contender.name,
      bar({
        kind: kindOf(contender.name),
        to: (middle / most) * 100,
        line: ends.map((end) => (end / most) * 100),
        label: text,
      }),
      text,
      felt,
    )
  })
  return `<h2>${escape(name)}</h2>\n<p>${waits ? 'Median wait: shorter is better.' : 'Events a second: longer is better.'}</p>\n${table('contender', waits ? 'wait' : 'speed', rows)}`
}

const kindOf = (name) => /^(tidemark|raw)\b/.exec(name)?.[1] ?? 'peer'

function bar({ kind, to, line: [from, until], marks = '', label }) {
  return `<svg viewBox="0 0 100 20" preserveAspectRatio="none" role="img" aria-label="${escape(label)}"><rect class="${kind}" x="0" y="3" width="${round(to)}" height="14"/>${marks}<line class="range" x1="${round(from)}" x2="${round(until)}" y1="10" y2="10"/></svg>`
}

function table(first, last, rows) {
  return `<table><colgroup><col class="name"><col><col class="value"></colgroup><thead><tr><th scope="col">${first}</th><th scope="col"></th><th scope="col">${last}</th></tr></thead><tbody>\n${rows.join('\n')}\n</tbody></table>`
}

const row = (name, svg, text, note) =>
  `<tr><th scope="row">${escape(name)}</th><td>${svg}</td><td>${escape(text)}${note === '' ? '' : ` <em class="${note === 'no' ? 'missed' : ''}">${escape(note)}</em>`}</td></tr>`

const round = (value) => Math.round(value * 100) / 100
const figure = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2))
const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

const style = `
:root { color-scheme: light dark; --ink: light-dark(#1b2733, #e4e9ee); --soft: light-dark(#5b6875, #9aa7b4); --paper: light-dark(#fbfcfd, #12181f);
  --rule: light-dark(#dde3e9, #2b3540); --tidemark: light-dark(#0b7285, #3bc0d8); --raw: light-dark(#9aa7b4, #66737f); --peer: light-dark(#c8a26a, #b08a50); --missed: light-dark(#c2410c, #f08a5d) }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem }
h1 { font-size: 1.7rem; margin: 0 0 .5rem } h2 { font-size: 1.1rem; margin: 2.2rem 0 0 } p { margin: .2rem 0 .6rem; color: var(--soft); max-width: 46rem }
table { width: 100%; border-collapse: collapse; table-layout: fixed } thead { position: absolute; clip-path: inset(50%) }
th, td { padding: .2rem 0; border-top: 1px solid var(--rule); vertical-align: middle } col.name { width: 36% } col.value { width: 11rem } th { font-weight: 400; text-align: left; padding-right: 1rem }
td:last-child { text-align: right; font-variant-numeric: tabular-nums } em { font-style: normal; color: var(--soft) } em.missed { color: var(--missed) }
svg { display: block; width: 100%; height: 20px } rect.tidemark, .legend .tidemark::before { fill: var(--tidemark); background: var(--tidemark) }
rect.raw, .legend .raw::before { fill: var(--raw); background: var(--raw) } rect.peer, .legend .peer::before { fill: var(--peer); background: var(--peer) } rect.missed { fill: var(--missed) }
line { stroke: var(--ink); vector-effect: non-scaling-stroke } line.range { opacity: .55 } line.aim { stroke-width: 2 } line.floor { stroke-width: 2; opacity: .55 }
.legend span { margin-right: 1.4rem } .legend span::before { content: ''; display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem }
@media (max-width: 40rem) { table, tbody, tr, th, td, td:last-child { display: block; text-align: left; border: 0; padding: 0 } tr { border-top: 1px solid var(--rule); padding: .4rem 0 } }
`
