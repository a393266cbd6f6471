// Several tasks at a time, so that what waits in one of them leaves the processors to another.

/**
 * Runs the tasks in their order, at most `lanes` at a time. A task that rejects does not stop the others.
 *
 * @template T
 * @param {readonly (() => Promise<T>)[]} tasks
 * @param {number} lanes
 * @returns {Promise<T[]>} what they resolved with, in the order of the tasks; rejects with the first failure when all have ended
 */
export async function inLanes(tasks, lanes) {
  const queue = [...tasks.entries()]
  const results = []
  const failures = []
  const lane = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [index, task] = next
      try {
        results[index] = await task()
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, lanes) }, lane))
  if (failures.length > 0) throw failures[0]
  return results
}
