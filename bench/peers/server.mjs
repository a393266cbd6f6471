// What other libraries sync with, in the process that serves the page: an endpoint for RxDB's replication, and a server of
// PouchDB with the routes of CouchDB. Installed apart: see bench/README.md.
import { mkdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import express from 'express'
import leveldb from 'pouchdb-adapter-leveldb'
import PouchDB from 'pouchdb-core'

async function bodyOf(incoming) {
  let body = ''
  for await (const text of incoming.setEncoding('utf8')) body += text
  return body
}

const respond = (response, value) =>
  void response
    .writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
    .end(JSON.stringify(value))

/** A collection of RxDB: the newest state of each document, in the order of the last write; flushed before a response. */
class Collection {
  #file
  #documents = new Map()
  /** Ids, by the number of the write. */
  #writes = [undefined]
  #listeners = new Set()

  constructor(file) {
    this.#file = file
  }

  get size() {
    return this.#documents.size
  }

  pull(after, limit) {
    const documents = []
    let at = after
    while (at < this.#writes.length - 1 && documents.length < limit) {
      at += 1
      const document = this.#documents.get(this.#writes[at])
      // One that was written since is behind it.
      if (document.at === at) documents.push(document.state)
    }
    return { documents, checkpoint: { at } }
  }

  /** Returns the states of documents that are not what was assumed. */
  async push(rows) {
    const conflicts = []
    const documents = []
    let lines = ''
    for (const { assumedMasterState = null, newDocumentState: state } of rows) {
      const known = this.#documents.get(state.id)?.state ?? null
      if (known !== null && JSON.stringify(known) !== JSON.stringify(assumedMasterState)) {
        conflicts.push(known)
        continue
      }
      const at = this.#writes.push(state.id) - 1
      this.#documents.set(state.id, { at, state })
      documents.push(state)
      lines += `${JSON.stringify({ at, state })}\n`
    }
    const checkpoint = { at: this.#writes.length - 1 }
    if (lines !== '') {
      await this.#file.appendFile(lines)
      await this.#file.datasync()
      for (const listener of this.#listeners) listener.write(`data: ${JSON.stringify({ documents, checkpoint })}\n\n`)
    }
    return conflicts
  }

  listen(response) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' }).write(': \n\n')
    this.#listeners.add(response)
    response.once('close', () => this.#listeners.delete(response))
  }
}

function rxdb(folder, workload) {
  const collections = new Map()
  const collection = async (name) => {
    if (!collections.has(name))
      collections.set(
        name,
        open(join(folder, `${name}.rxdb`), 'a').then((file) => new Collection(file)),
      )
    return collections.get(name)
  }
  return async (incoming, response, name, what, asked) => {
    const found = await collection(name)
    if (what === 'stream') found.listen(response)
    else if (what === 'pull') respond(response, found.pull(Number(asked.get('after')), Number(asked.get('limit'))))
    else if (what === 'push') respond(response, await found.push(JSON.parse(await bodyOf(incoming))))
    else {
      const count = Number(asked.get('count'))
      if (what === 'fill' && found.size === 0)
        await found.push(workload(count).map((event) => ({ newDocumentState: { ...event, _deleted: false } })))
      respond(response, { count: found.size })
    }
  }
}

function couch(folder, workload) {
  const makeServer = createRequire(import.meta.url)('express-pouchdb')
  PouchDB.plugin(leveldb)
  const prefix = `${folder}/couch-`
  const Stored = PouchDB.defaults({ prefix, adapter: 'leveldb' })
  const server = makeServer(Stored, { mode: 'minimumForPouchDB', inMemoryConfig: true, logPath: `${prefix}log` })
  const app = express().use('/peers/couch', server)
  return async (incoming, response, name, what, asked) => {
    if (what !== 'fill' && what !== 'count') return app(incoming, response)
    const db = new Stored(name)
    if (what === 'fill' && (await db.info()).doc_count === 0) {
      const documents = workload(Number(asked.get('count'))).map(({ id, ...event }) => ({ _id: id, ...event }))
      while (documents.length > 0) await db.bulkDocs(documents.splice(0, 1000))
    }
    respond(response, { count: (await db.info()).doc_count })
  }
}

/** @param workload the first events of the workload, with id, time and position */
export function peersListener(folder, workload) {
  mkdirSync(folder, { recursive: true })
  const rooms = { rxdb: rxdb(folder, workload), couch: couch(folder, workload) }
  return (incoming, response, pathname, searchParams) => {
    const [, , room = '', name = '', what = ''] = pathname.split('/')
    return rooms[room](incoming, response, name, what, searchParams)
  }
}
