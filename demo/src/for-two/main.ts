/** The page of the shared board: opens it as this device, mounts the parts, and hands them what changes. */
import { byId } from '../dom.js'
import { watch } from '../live.js'
import { messageOf, notify } from '../notice.js'
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
  const refusals = mountRefusals()
  const log = mountLogList()
  mountInvite(boardId)
  mountServerPanel(boardId)
  byId('try').append(...thingsToTry())
  byId('shared').hidden = false
  const device = openDevice(name, boardId, line)
  const { app } = device
  try {
    await app.ready()
    rememberBoard(boardId)
    departures.open(device)
    bar.show(device)
    await log.open(device)
    watch(app.sync.liveOutbox(), ({ data: commits = [] }) => {
      for (const part of [departures, refusals, log]) part.showOutbox(commits)
    })
    const rows = app.board.live(async ({ gates, flights }) => ({
      gates: await gates.getAll(),
      flights: await flights.getAll(),
    }))
    watch(rows, ({ data }) => {
      if (data === undefined) return
      departures.show(data)
      refusals.show(data.gates)
    })
    // To play with in the console: `await boardForTwo.app.sync.outbox()`.
    window.boardForTwo = device
  } catch (error) {
    notify(`The board could not open: ${messageOf(error)}`, 'trouble')
    throw error
  }
}
