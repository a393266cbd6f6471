/** The page of the shared board: opens it as this device, mounts the parts, and hands them what changes. */
import { byId, perFrame } from '../dom.js'
import { watch } from '../live.js'
import { inBackground, messageOf, notify } from '../notice.js'
import { mountBegin } from './begin.js'
import { mountDepartures } from './departures.js'
import { deviceName, openDevice, type Device } from './device.js'
import { mountDeviceBar } from './device-bar.js'
import { mountInvite } from './invite.js'
import { Line } from './line.js'
import { mountLogList } from './log-list.js'
import { deviceHere, rememberBoard, boardHere } from './place.js'
import { mountRefusals } from './refusals.js'
import { mountServerPanel } from './server-panel.js'
import { thingsToTry } from './things-to-try.js'

declare global {
  interface Window {
    boardForTwo?: Device
  }
}

// Another link is another board.
addEventListener('hashchange', () => location.reload())
// Keeps the page for a reload without a network, where browsers have that.
void navigator.serviceWorker?.register('/service-worker.js').catch(() => {})

const boardId = boardHere()
if (boardId === undefined) await mountBegin()
else await mountBoard(boardId)
document.documentElement.dataset['ready'] = 'yes'

async function mountBoard(boardId: string): Promise<void> {
  const number = deviceHere()
  const name = deviceName(boardId, number)
  if (number > 1) document.title += `, device ${number}`
  const line = new Line(name)
  const bar = mountDeviceBar(number === 1 ? 'This device' : `Device ${number} of this browser`, line)
  const departures = mountDepartures()
  let look = () => {}
  const refusals = mountRefusals(() => look())
  const log = mountLogList()
  mountInvite(boardId)
  mountServerPanel(boardId)
  byId('try').append(...thingsToTry())
  byId('shared').hidden = false
  try {
    const device = await openDevice(name, boardId, line)
    rememberBoard(boardId)
    departures.open(device)
    log.open(device)
    bar.show(device)
    look = followOutbox(device, [departures, refusals, log])
    const rows = device.view.live(async ({ gates, flights }) => ({
      gates: await gates.getAll(),
      flights: await flights.getAll(),
    }))
    watch(rows, (snapshot) => {
      if (snapshot.status !== 'ready') return
      departures.show(snapshot.data)
      refusals.show(snapshot.data.gates)
    })
    // To play with in the console: `await boardForTwo.outbox()`.
    window.boardForTwo = device
  } catch (error) {
    notify(`The board could not open: ${messageOf(error)}`, 'trouble')
    throw error
  }
}

/**
 * The outbox changes with appends, here or in another window, and with what the server says: the status changes with each.
 * Returns how to look again.
 */
function followOutbox(
  device: Device,
  parts: readonly { showOutbox(commits: Awaited<ReturnType<Device['outbox']>>): void }[],
): () => void {
  const look = perFrame(() =>
    inBackground(
      device.outbox().then((commits) => {
        for (const part of parts) part.showOutbox(commits)
      }),
    ),
  )
  device.status.subscribe(look)
  device.view.live(async ({ gates, flights }) => [await gates.getAll(), await flights.getAll()]).subscribe(look)
  look()
  return look
}
