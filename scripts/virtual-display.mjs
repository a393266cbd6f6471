// An X server that shows nothing, for browsers without a headless mode.
import { spawn } from 'node:child_process'

/** ms. A busy machine needs many times what an idle one does. */
const START_TIMEOUT = 60_000

/**
 * Starts one on a display number that is free. It ends with `stop`, and at the latest with this process.
 *
 * @param {string} xvfb the path of Xvfb
 * @returns {Promise<{ name: string, stop(): void }>} the name is what DISPLAY has to be
 */
export async function startDisplay(xvfb) {
  const server = spawn(xvfb, ['-displayfd', '1', '-screen', '0', '1280x800x24', '-nolisten', 'tcp'], {
    // Ctrl+C is for the process that started it, which may still need the screen for a moment.
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const stop = () => void server.kill()
  process.once('exit', stop)
  server.once('exit', () => process.off('exit', stop))
  try {
    return { name: `:${await displayNumber(server)}`, stop }
  } catch (error) {
    stop()
    throw error
  }
}

/** It writes the number it took as one line, once it listens. */
function displayNumber(server) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Xvfb did not start within ${START_TIMEOUT} ms`)), START_TIMEOUT)
    let text = ''
    server.stdout.on('data', (chunk) => {
      text += chunk
      if (text.includes('\n')) settle(() => resolve(text.trim()))
    })
    server.once('error', (error) => settle(() => reject(error)))
    server.once('exit', (code) => settle(() => reject(new Error(`Xvfb ended immediately (exit ${code})`))))
    function settle(then) {
      clearTimeout(timer)
      then()
    }
  })
}
