/** The page: opens the store, mounts the parts, and hands them the read model that is on show. */
import { loadPlaces } from './airports.js'
import { mountBoard } from './board.js'
import { mountControls } from './controls.js'
import { mountDesk } from './desk.js'
import { byId, say } from './dom.js'
import { mountFailures } from './failures.js'
import { openStore, type Store } from './flights.js'
import { mountJournal } from './journal.js'
import { mountLoad } from './load.js'
import { mountMap } from './map.js'
import { messageOf, notify } from './notice.js'
import { mountPanel } from './panel.js'
import { keepPlaces } from './placeholders.js'
import { Session } from './session.js'
import { watchTabs } from './tabs.js'

declare global {
  interface Window {
    flightDesk?: { readonly store: Store; readonly session: Session }
  }
}

const connection = byId('connection')
let kept = false
function showConnection(): void {
  connection.dataset['state'] = navigator.onLine ? 'online' : 'offline'
  say(connection, navigator.onLine ? (kept ? 'Online, works offline too' : 'Online') : 'Offline, and everything works')
}
addEventListener('online', showConnection)
addEventListener('offline', showConnection)
showConnection()

if ('serviceWorker' in navigator) {
  void navigator.serviceWorker.register('/service-worker.js').catch((error: unknown) => {
    notify(`Without a service worker the page needs the network: ${messageOf(error)}`, 'trouble')
  })
  void navigator.serviceWorker.ready.then(() => {
    kept = true
    showConnection()
  })
}

try {
  const [store, places] = await Promise.all([openStore(), loadPlaces()])
  const session = new Session(store)
  const tabs = await watchTabs(() => session.lockName)
  const map = mountMap(places)
  const board = mountBoard(places, map.choose)
  const desk = mountDesk(store, session, places)
  session.subscribe(() => {
    for (const part of [map, board, desk]) part.show(session.view)
  })
  await session.open()
  mountPanel(store, session, tabs)
  mountControls(session, tabs)
  mountFailures(store, session)
  mountJournal(store)
  await mountLoad(store, tabs)
  keepPlaces()
  // To play with in the console: `await flightDesk.session.view.airports.get('LAS')`.
  window.flightDesk = { store, session }
  document.documentElement.dataset['ready'] = 'yes'
} catch (error) {
  notify(`The flight desk could not open: ${messageOf(error)}`, 'trouble')
  throw error
}
