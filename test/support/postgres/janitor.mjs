// Ends the PostgreSQL servers of a test run when the run has ended, in whatever way, and removes their files.
// node janitor.mjs <pid of the run> <folder>
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'

const [run, folder] = [Number(process.argv[2]), process.argv[3]]

const isAlive = (pid) => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Of the servers whose data is in this folder. */
const servers = () =>
  readdirSync(folder).flatMap((name) => {
    try {
      const [pid, data] = readFileSync(join(folder, name, 'data/postmaster.pid'), 'utf8').split('\n')
      return data === join(folder, name, 'data') && isAlive(Number(pid)) ? [Number(pid)] : []
    } catch {
      return []
    }
  })

const timer = setInterval(() => {
  if (isAlive(run)) return
  clearInterval(timer)
  for (const pid of servers()) process.kill(pid, 'SIGQUIT')
  const end = Date.now() + 10_000
  const clean = setInterval(() => {
    if (servers().length > 0 && Date.now() < end) return
    clearInterval(clean)
    rmSync(folder, { recursive: true, force: true })
  }, 100)
}, 500)
