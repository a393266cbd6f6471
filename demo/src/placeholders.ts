/**
 * Keeps the places of parts that are filled late, so that nothing jumps when the page opens: the style sheet knows what a first visit
 * needs, and a later one needs what the page had when it was left. The script in index.html hands that to the style sheet.
 */

const parts = ['load', 'figures', 'table', 'desk', 'panel']

function save(): void {
  release()
  const heights = Object.fromEntries(parts.map((id) => [id, document.getElementById(id)?.offsetHeight ?? 0]))
  localStorage.setItem('flight-desk:heights', JSON.stringify({ width: innerWidth, ...heights }))
}

/** From here on every part is as high as what is in it. */
const release = () => document.documentElement.toggleAttribute('data-released', true)

/** Call once every part is mounted. */
export function keepPlaces(): void {
  // What moves in answer to a key or a finger is no surprise.
  for (const type of ['pointerdown', 'keydown']) addEventListener(type, release, { once: true, passive: true })
  addEventListener('pagehide', save)
}
