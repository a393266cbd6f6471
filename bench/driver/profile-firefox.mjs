// Firefox has one profile from start to end, which it writes when it ends. Samples of the bench's page in the time of a run are that run's.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export function profilesOfFirefox({ profileFile }) {
  /** File name to the spans of all runs, in milliseconds since 1970. */
  const spans = new Map()
  return {
    begin(name) {
      spans.set(name, [...(spans.get(name) ?? []), { from: Date.now(), to: Infinity }])
    },
    end(name) {
      spans.get(name).at(-1).to = Date.now()
    },
    async finish(folder) {
      const text = await readFile(profileFile, 'utf8')
      // profiler.firefox.com opens it.
      await writeFile(join(folder, 'firefox-profile.json'), text)
      const threads = threadsOf(JSON.parse(text))
      return [...spans].map(([name, runs]) => ({ name, runs: runs.length, own: ownTimes(threads, runs) }))
    },
  }
}

/** The main threads of all content processes. */
function threadsOf(profile) {
  const { startTime, interval } = profile.meta
  const own = profile.threads
    .filter(({ name, processType }) => name === 'GeckoMain' && processType === 'tab')
    .map((thread) => ({ thread, startTime, interval }))
  return [...own, ...(profile.processes ?? []).flatMap(threadsOf)]
}

/** @returns {Map<string, number>} milliseconds by function, or by what else the thread of the page did */
function ownTimes(threads, spans) {
  const within = threads.map((thread) => samplesIn(thread, spans))
  // Other processes than the page's have nothing to do meanwhile.
  const busy = within.reduce((busiest, samples) => (workIn(samples) > workIn(busiest) ? samples : busiest))
  const own = new Map()
  for (const { key, interval } of busy) own.set(key, (own.get(key) ?? 0) + interval)
  return own
}

const workIn = (samples) => samples.filter(({ key }) => key !== waiting).length
const waiting = '(waiting)'

function samplesIn({ thread, startTime, interval }, spans) {
  const { samples, stackTable, frameTable, stringTable } = thread
  return samples.data.flatMap((sample) => {
    const time = startTime + sample[samples.schema.time]
    if (!spans.some(({ from, to }) => time >= from && time < to)) return []
    const labels = []
    for (
      let stack = sample[samples.schema.stack];
      stack !== null && stack !== undefined;
      stack = stackTable.data[stack][stackTable.schema.prefix]
    ) {
      labels.push(
        stringTable[frameTable.data[stackTable.data[stack][stackTable.schema.frame]][frameTable.schema.location]],
      )
    }
    return [{ key: nameOf(labels), interval }]
  })
}

/** What a stack, innermost frame first, is counted for: the function of the page that runs, and what the engine does for it. */
function nameOf(labels) {
  const named = labels.filter((label) => !/^(0x|js::RunScript|XRE_|\(root\)|promise callback)/.test(label))
  if (named.length === 0 || named.includes('PollWrapper')) return waiting
  const script = named.findIndex((label) => label.includes('(http://'))
  const place = script === -1 ? [] : [named[script].slice(0, named[script].indexOf(' (http://'))]
  const engine = named.slice(0, script === -1 ? 1 : script).map((label) => label.replace(/ \(self-hosted.*/, ''))
  return [...place, ...engine.slice(0, 1)].join(': ')
}
