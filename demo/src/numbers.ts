/** How numbers are written. */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const tenth = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
const signed = new Intl.NumberFormat('en', {
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
  signDisplay: 'exceptZero',
})
const typographic = (text: string) => text.replace('-', '\u2212')

export const count = (value: number) => typographic(whole.format(value))
export const decimal = (value: number) => typographic(tenth.format(value))
export const minutes = (value: number) => typographic(signed.format(value))
export const counted = (value: number, one: string, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`

/** Five steps of average delay, for colour; the legend names them. */
export const steps = [
  { below: 0, name: 'early' },
  { below: 5, name: 'under 5' },
  { below: 10, name: 'under 10' },
  { below: 15, name: 'under 15' },
  { below: Infinity, name: '15 or more' },
] as const
export const stepOf = (delay: number) => steps.findIndex((step) => delay < step.below)

const span = 3_000
const resting = 1_500

/**
 * Measures events per second over the last three seconds, from the positions that this page sees, whichever tab moves them.
 * Returns 0 when nothing moved for a moment.
 */
export function speedometer(now: () => number = () => performance.now()): (position: number) => number {
  let seen: { readonly at: number; readonly position: number }[] = []
  return (position) => {
    const at = now()
    const last = seen.at(-1)
    // After a rest it is unknown when the first of the new events came: count from here.
    if (last === undefined || position < last.position || (position > last.position && at - last.at > span))
      seen = [{ at, position }]
    else if (position > last.position) seen.push({ at, position })
    while (seen.length > 2 && at - (seen[1]?.at ?? at) > span) seen.shift()
    const [first] = seen
    const latest = seen.at(-1)
    if (first === undefined || latest === undefined || first === latest || at - latest.at > resting) return 0
    return (latest.position - first.position) / ((at - first.at) / 1000)
  }
}
