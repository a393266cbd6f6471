// Many devices that were offline, in a process of Node of their own.
import { spawn } from 'node:child_process'
import process from 'node:process'
import { inRounds } from './rounds.mjs'
import { lineOf } from './serve.mjs'

const [devices, commits] = [20, 500]
const name = `sync: ${devices} devices send ${commits} commits each, and have those of all`
const kinds = { tidemark: 'logs', 'raw, one request with everything and one for the lines': 'raw' }

/** @returns cases as from `measure` */
export async function measureManyDevices({ url, program, only, ...limits }) {
  if (only !== undefined && !name.includes(only)) return []
  let runs = 0
  return inRounds([{ name, contenders: Object.keys(kinds) }], limits, async (_, contender) => {
    const room = kinds[contender]
    const log = `${url}${room}/devices-${(runs += 1)}`
    const child = spawn(
      process.execPath,
      [program, log, String(devices), String(commits), room === 'raw' ? room : ''],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    return JSON.parse(await lineOf(child))
  })
}
