/** A WebSocket of RFC 6455 for short texts, since Node 20 has none: what the tests say with it and hear. */
import { randomBytes } from 'node:crypto'
import { request, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

export class RawSocket extends EventTarget {
  #socket: Socket | undefined
  #isOver = false
  /** Of the response, if it was refused. */
  status = 0
  readonly texts: string[] = []

  constructor(url: string, headers: Record<string, string> = {}) {
    super()
    const asked = request(url.replace(/^ws/, 'http'), {
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
        ...headers,
      },
    })
    asked.on('upgrade', (_: IncomingMessage, socket: Socket, first: Buffer) => this.#opened(socket, first))
    asked.on('response', (response) => {
      this.status = response.statusCode ?? 0
      response.resume()
      this.#end()
    })
    asked.on('error', () => this.#end())
    asked.end()
  }

  /** Resolves when something was heard that is wanted. Rejects if the socket ends before. */
  heard(isWanted: (texts: readonly string[]) => boolean): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const isHeard = isWanted(this.texts)
        if (!isHeard && !this.#isOver) return
        this.removeEventListener('message', look)
        this.removeEventListener('close', look)
        if (isHeard) resolve(this.texts)
        else reject(new Error(`The socket ended after ${this.texts.join()}`))
      }
      this.addEventListener('message', look)
      this.addEventListener('close', look)
      look()
    })
  }

  get ended(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isOver) resolve()
      this.addEventListener('close', () => resolve())
    })
  }

  send(text: string): void {
    this.#write(0x81, Buffer.from(text))
  }

  close(): void {
    this.#write(0x88, Buffer.from([0x03, 0xe8]))
    this.#end()
  }

  /** Without a word: as a process that is killed, or as one that has closed one direction only. */
  vanish(how: 'reset' | 'half-closed'): void {
    if (how === 'reset') this.#socket?.resetAndDestroy()
    else this.#socket?.end()
  }

  #opened(socket: Socket, first: Buffer): void {
    this.#socket = socket
    let pending = first
    const read = (part: Buffer) => {
      pending = Buffer.concat([pending, part])
      for (let size = 0; pending.length >= 2; pending = pending.subarray(size)) {
        const length = (pending[1] as number) & 0x7f
        if (length > 125) throw new Error('Only short texts are sent.')
        size = 2 + length
        if (pending.length < size) return
        const data = pending.subarray(2, size).toString()
        if (pending[0] === 0x88) return this.#end()
        this.texts.push(data)
        this.dispatchEvent(new MessageEvent('message', { data }))
      }
    }
    socket.on('data', read)
    socket.on('error', () => this.#end())
    socket.on('close', () => this.#end())
    this.dispatchEvent(new Event('open'))
    read(Buffer.alloc(0))
  }

  #write(head: number, data: Buffer): void {
    const mask = randomBytes(4)
    const masked = data.map((byte, index) => byte ^ (mask[index % 4] as number))
    this.#socket?.write(Buffer.concat([Buffer.from([head, 0x80 | data.length]), mask, masked]))
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#socket?.destroy()
    this.dispatchEvent(new Event('close'))
  }
}
