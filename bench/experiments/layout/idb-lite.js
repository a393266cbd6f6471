// The smallest possible helpers over raw IndexedDB, shared by the two halves of the experiment.

export const relaxed = { durability: 'relaxed' }

export const asked = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

export const done = (tx) =>
  new Promise((resolve, reject) => {
    tx.oncomplete = () => resolve()
    tx.onabort = () => reject(tx.error ?? new DOMException('aborted', 'AbortError'))
  })

export function open(name, upgrade, version = 1) {
  const request = indexedDB.open(name, version)
  request.onupgradeneeded = () => upgrade?.(request.result, request.transaction)
  return asked(request)
}

export const drop = (name) => asked(indexedDB.deleteDatabase(name))
