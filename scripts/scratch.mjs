// Where tests put profiles of browsers, and logs and clusters of servers. In memory where the machine has enough: most
// of what they wait for is the disk, and what a process wrote is there after it was killed in both. `TIDEMARK_SCRATCH`
// names another folder, for example one on a disk.
import { existsSync, statfsSync } from 'node:fs'
import { freemem, tmpdir } from 'node:os'
import process from 'node:process'

/** Of a run of the whole suite: several browsers and servers at a time. */
const ENOUGH = 4 * 1024 ** 3

/**
 * A folder that exists, for temporary files that are written often.
 *
 * @param {object} [machine] for tests
 * @param {string} [machine.given] what TIDEMARK_SCRATCH says
 * @param {string} [machine.memory] a folder in memory, if there is one
 * @param {number} [machine.space] what it still holds, bytes
 * @param {number} [machine.free] memory that is not in use, bytes
 */
export function scratch({
  given = process.env['TIDEMARK_SCRATCH'],
  memory = '/dev/shm',
  space = spaceIn(memory),
  // Of the container, where there is one.
  free = process.availableMemory?.() ?? freemem(),
} = {}) {
  if (given) return given
  return Math.min(space, free) >= ENOUGH ? memory : tmpdir()
}

function spaceIn(folder) {
  if (!existsSync(folder)) return 0
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}
