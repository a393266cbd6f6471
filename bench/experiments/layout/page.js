// Runs in the browser. Opened as index.html?parts=capabilities,layouts,… and reports to the driver over HTTP,
// so that one and the same page serves every engine.
import { capabilities, clearSiteData } from './capabilities.js'
import { packedRows } from './packed.js'
import { layouts, reading, rowCommit, wrapper } from './variants.js'

const parts = { capabilities, layouts, rowCommit, packedRows, reading, wrapper, clearSiteData }
const query = new URLSearchParams(location.search)
const post = (path, body) => fetch(path, { method: 'POST', body: JSON.stringify(body) })
const say = (line) => post('/progress', line)

const results = { userAgent: navigator.userAgent, parts: {} }
try {
  await leaveMarker() // stays on disk, so that the driver can see which storage engine was used
  for (const name of query.get('parts').split(',')) {
    await say(name)
    results.parts[name] = await parts[name](say)
    await post('/partial', results)
  }
} catch (error) {
  results.error = `${error?.name}: ${error?.message}\n${error?.stack}`
}
await post('/result', results)
document.querySelector('#state').textContent = 'done'

function leaveMarker() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('marker', 1)
    opening.onupgradeneeded = () => opening.result.createObjectStore('s').put('marker', 1)
    opening.onerror = () => reject(opening.error)
    opening.onsuccess = () => resolve(opening.result.close())
  })
}
