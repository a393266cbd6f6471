/** A TCP proxy that cuts a connection at a place that a test chooses. */
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'

/** `before`: the server does not receive it. `after`: the server responds to it, and the client does not receive that. */
export type CutWhen = 'before' | 'after'

export class CuttingProxy {
  readonly #server = createServer((client) => this.#accept(client))
  readonly #sockets = new Set<Socket>()
  readonly #target: number
  #left: { count: number; readonly when: CutWhen } | undefined
  #isStalled = false
  /** How many connections there were until the router between client and server forgot them all. */
  #forgotten = 0
  #accepted = 0

  private constructor(target: number) {
    this.#target = target
  }

  static async to(port: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(port)
    await new Promise<void>((resolve) => void proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Cuts the connection over which the `count`th piece of data comes from a client from now on. */
  arm(count: number, when: CutWhen): void {
    this.#left = { count, when }
  }

  /** Returns whether it has cut. */
  disarm(): boolean {
    const hasCut = this.#left === undefined
    this.#left = undefined
    return hasCut
  }

  /** Nothing passes any more, and nothing ends, as when a network is gone. */
  stall(): void {
    this.#isStalled = true
  }

  /** Nothing passes any more over the connections that there are, and neither side learns of it: as when a router forgets them. */
  forget(): void {
    this.#forgotten = this.#accepted
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()))
  }

  #accept(client: Socket): void {
    const number = (this.#accepted += 1)
    const isSilent = () => this.#isStalled || number <= this.#forgotten
    const server = createConnection({ port: this.#target, host: '127.0.0.1' })
    const end = () => {
      client.destroy()
      server.destroy()
    }
    let isCutting = false
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', end)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        if (number > this.#forgotten) end()
      })
    }
    client.on('data', (data) => {
      if (isSilent()) return
      const left = this.#left
      if (left !== undefined && (left.count -= 1) === 0) {
        this.#left = undefined
        if (left.when === 'before') return end()
        isCutting = true
      }
      server.write(data)
    })
    server.on('data', (data) => {
      if (isSilent()) return
      if (isCutting) return end()
      client.write(data)
    })
  }
}
