// Calls `window.bench` of a page, with an end to every wait.

/** A run that takes longer than this has hung. */
const limit = 20 * 60_000

/** @param {import('@playwright/test').Page} page */
export async function call(page, method, ...args) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${method} ${args.join(', ')} took longer than ${limit} ms`)), limit)
  })
  const answer = page.evaluate(([method, args]) => window.bench[method](...args), [method, args])
  return Promise.race([answer, late]).finally(() => clearTimeout(timer))
}
