/**
 * One run of the model: devices, a stranger and a server through random faults, then a quiet time in which everything has
 * to settle. The machine, the rules, the storage of the devices and the server are the real ones.
 */
import type { LogBackup } from '../../../src/server/index.js'
import { Book } from './book.js'
import { checkDevice, checkEnd, checkServer } from './checks.js'
import { Device, type Saved } from './device.js'
import type { Runner } from './runner.js'
import { seeded, type Chance } from './seeded.js'
import { styles, type Rare, type Style } from './styles.js'
import { Service, type Reply, type Request } from './service.js'

export interface RunOptions {
  readonly steps?: number
  /** What happens more often than else; drawn by the seed where it is not given. */
  readonly style?: Style['name']
  /** A server that looks first and decides later, as two processes without a lock do. */
  readonly checksThenActs?: boolean
}

class ModelError extends Error {}

/** @throws ModelError with the seed and what does not hold */
export async function run(seed: number, options: RunOptions = {}): Promise<Readonly<Record<string, number>>> {
  return new Run(seed, options).all()
}

interface Message {
  readonly arrive: () => Promise<void> | void
  readonly kind: 'request' | 'reply' | 'other'
  readonly device?: Device
  readonly request?: Request
}

const offline: Reply = { kind: 'offline' }

class Run {
  readonly chance: Chance
  readonly book: Book
  readonly service = new Service()
  readonly devices: readonly Device[]
  /** In this run a server may be restored and keep its epoch: then a late request may revive what was refused. */
  readonly isUnnoticed: boolean
  /** An app that often takes back what it did. */
  readonly #isFickle: boolean
  readonly #style: Style
  readonly #options: RunOptions
  readonly #seed: number
  /** Requests and replies under way. */
  readonly #net: Message[] = []
  /** Those that arrive when they are not expected any more. */
  readonly #late: Message[] = []
  readonly #backups: LogBackup[] = []
  readonly #saved = new Map<Device, Saved>()

  constructor(seed: number, options: RunOptions) {
    this.#seed = seed
    this.#options = options
    this.chance = seeded(seed)
    this.isUnnoticed = this.chance.hits(0.12)
    this.#isFickle = this.chance.hits(0.25)
    const drawn = this.chance.one(styles) as Style
    this.#style = styles.find(({ name }) => name === options.style) ?? drawn
    this.book = new Book(this.fail)
    const machine = {
      pageSize: 1 + this.chance.pick(20),
      pushBytes: this.chance.one([700, 1500, 4000, 100_000]) as number,
    }
    this.devices = ['A', 'B', 'C'].map(
      (name) =>
        new Device(name, {
          chance: this.chance,
          book: this.book,
          fail: this.fail,
          machine,
          streams: this.#style.streams,
        }),
    )
    this.#backups.push(this.service.store.snapshot())
  }

  readonly fail = (what: string): never => {
    throw new ModelError(`seed ${this.#seed}: ${what}`)
  }

  async all(): Promise<Readonly<Record<string, number>>> {
    const { steps = 400 } = this.#options
    this.book.epoch((await this.service.store.identity()).epoch, [])
    for (const device of this.devices) if (this.chance.hits(this.#style.locals)) await device.openLocal()
    for (let step = 0; step < steps; step += 1) {
      const device = this.chance.one(this.devices) as Device
      await this.#act(device)
      await checkDevice(this, device)
      if (step % 8 === 7) await this.#checkAll()
    }
    await this.#settle()
    await checkEnd(this)
    return { ...this.book.counts, runs: 1, steps }
  }

  async #checkAll(): Promise<void> {
    for (const device of this.devices) await checkDevice(this, device)
    checkServer(this)
  }

  async #act(device: Device): Promise<void> {
    const { chance } = this
    if (device.hasLocal && chance.hits(0.2)) return this.#adoptSome(device)
    const what = chance.next()
    if (chance.hits(this.#style.rare)) await this.#rareAct(device, drawn(this.#style.rares, chance))
    else if (this.#isFickle && chance.hits(0.08)) await device.discard()
    else if (what < 0.15) await device.append()
    else if (what < 0.45) await this.#runSome(device)
    else if (what < 0.89) for (let times = 1 + chance.pick(4); times > 0; times -= 1) await this.#deliver()
    else if (what < 0.98) await device.project(chance.pick(6))
    else await device.look()
  }

  async #rareAct(device: Device, rare: Rare): Promise<void> {
    const { chance, service } = this
    if (rare === 'squat') await this.#squat(device)
    else if (rare === 'discard') await device.discard()
    else if (rare === 'retry') await device.retry()
    else if (rare === 'back up') this.#backups.push(service.store.snapshot())
    else if (rare === 'restore') await this.#restore()
    else if (rare === 'renew epoch') await this.#renewEpoch()
    else if (rare === 'clear') this.#clear(device)
    else if (rare === 'save') this.#saved.set(device, await device.save())
    else if (rare === 'roll back') await this.#rollBack(device)
    else if (rare === 'kill') this.#kill(device)
    else if (rare === 'wake late') await this.#wakeLate(device)
    else if (rare === 'resync') await device.resync()
    else if (rare === 'take back') await this.#takeBack(device)
    else device.start({ isBounded: chance.hits(0.5), decides: chance.hits(0.5) })
  }

  /** Contexts adopt the local store of a device, or are about to. */
  async #adoptSome(device: Device): Promise<void> {
    const { chance, service } = this
    device.adopters = device.adopters.filter((each) => !each.isOver)
    if (chance.hits(0.1)) return device.appendLocal()
    const adopter =
      device.adopters.length < 1 || (device.adopters.length < 2 && chance.hits(0.1))
        ? await device.adopt()
        : chance.one(device.adopters)
    if (adopter === undefined) return
    while (await adopter.step()) if (chance.hits(0.3)) return
    const asked = adopter.request()
    if (asked === undefined) return
    const { author } = device
    const arrive = async () => {
      const response = await service.respond(asked.request, author)
      const resume = async () => {
        if (device.adopters.includes(adopter)) await asked.resume(response.clone())
      }
      this.#net.push({ kind: 'reply', arrive: resume })
    }
    this.#net.push({ kind: 'request', device, arrive })
  }

  /** A call of the app with nothing in its way. */
  async #adoptAll(device: Device): Promise<void> {
    device.adopters = []
    const adopter = await device.adopt()
    for (let steps = 0; adopter !== undefined && !adopter.isOver; steps += 1) {
      if (steps === 500) this.fail(`drains: adopting the local store of ${device.name} does not end`)
      if (await adopter.step()) continue
      const asked = adopter.request()
      if (asked === undefined) await adopter.giveUp()
      else await asked.resume(await this.service.respond(asked.request, device.author))
    }
    device.adopters = []
    await checkDevice(this, device)
    const [left] = this.book.unadopted(device)
    if (left !== undefined) this.fail(`adopted: ${left} of ${device.name} was left out`)
  }

  /** Contexts of a device do something: mostly up to their next request. */
  async #runSome(device: Device): Promise<void> {
    const { chance } = this
    const runners = device.runners.filter((each) => !each.isOver)
    const runner =
      runners.length < 1 || (runners.length < 3 && chance.hits(this.#style.contexts))
        ? device.start()
        : chance.one(runners)
    if (runner === undefined) return
    if (runner.waits !== undefined)
      runner.wake(chance.one(['time', 'own-append', 'server', 'online', 'asked'] as const) ?? 'time')
    while (await runner.step()) if (chance.hits(0.12)) return
    this.#send(device, runner)
  }

  #send(device: Device, runner: Runner): void {
    const asked = runner.request()
    if (asked === undefined) return
    const { author } = device
    const { request, resume } = asked
    const respond = (reply: Reply) => this.#net.push({ kind: 'reply', arrive: () => resume(reply) })
    const arrive = async () => {
      const reply = await this.#serve(request, author)
      if (reply !== undefined) return void respond(reply)
      // Looked up now, decided when the message that this is arrives.
      const found = await this.service.lookUp(request)
      const decide = async () => void respond(await this.service.serve(request, author, found))
      this.#net.push({ kind: 'other', arrive: decide })
    }
    this.#net.push({ kind: 'request', device, request, arrive })
  }

  /** Nothing: it is decided later. */
  async #serve(request: Request, author: string): Promise<Reply | undefined> {
    const { chance, service } = this
    if (chance.hits(0.02)) return chance.hits(0.5) ? { kind: 'busy' } : offline
    if (request.kind === 'pull' && chance.hits(0.01)) return { kind: 'full' }
    if (this.#options.checksThenActs === true && request.kind === 'push' && chance.hits(0.6)) return undefined
    return service.serve(request, author)
  }

  async #deliver(): Promise<void> {
    const { chance } = this
    const { late: lateness, arrives, twice, lost } = this.#style
    const late = chance.hits(arrives)
    const from = late ? this.#late : this.#net
    if (from.length === 0) return
    const message = from.splice(chance.pick(from.length), 1)[0] as Message
    if (chance.hits(lost)) return this.book.count('lost messages')
    if (chance.hits(twice)) {
      this.book.count('messages twice')
      this.#late.push(message)
    } else if (!late && chance.hits(lateness)) {
      this.book.count('late messages')
      this.#late.push(message)
      return
    }
    await message.arrive()
  }

  /** Another user of the log takes ids that it knows or guesses, or cancels them. */
  async #squat(device: Device): Promise<void> {
    const { chance, service } = this
    const { outbox, own } = await device.storage.loadOwn(0)
    const log = await device.confirmed()
    const lost = own
      .map(({ at, n }) => log.slice(at - 1, at - 1 + n))
      .filter(([event]) => event !== undefined && !service.has(event.id))
    const guessed = outbox.map(({ events }) => events.map(({ id, stream, type }) => ({ id, stream, type })))
    const events = chance.one(chance.hits(0.5) ? guessed : lost)
    if (events === undefined) return
    this.book.count('squats')
    const ids = events.map(({ id }) => id)
    const body = chance.hits(0.5) ? { commits: [evilOf(events)] } : { commits: [], cancel: [ids] }
    this.#net.push({ kind: 'other', arrive: () => service.pushAs('M', body) })
  }

  async #restore(): Promise<void> {
    const { book, chance, service } = this
    const { newest, thefts } = this.#style
    const backups = chance.hits(newest) ? this.#backups.slice(-2) : this.#backups
    const before = service.store.snapshot().commits
    const backup = chance.one(backups) as LogBackup
    await service.restore(backup, this.isUnnoticed && chance.hits(0.5))
    book.epoch(
      (await service.store.identity()).epoch,
      service.events.map(({ id }) => id),
    )
    book.count('restores')
    // Of what it said before, something arrives later.
    if (chance.hits(this.#style.overtaken)) this.#delay(({ kind }) => kind === 'reply')
    if (!chance.hits(thefts)) return
    // A stranger is faster than the devices: other things are under the ids that were lost.
    const kept = backup.commits.length
    const lost = before.slice(kept, kept + 1 + chance.pick(before.length - kept + 1))
    if (lost.length > 0) book.count('thefts')
    for (const { events } of lost) await service.pushAs('M', { commits: [evilOf(events)] })
  }

  async #renewEpoch(): Promise<void> {
    this.service.store.renewEpoch()
    this.book.epoch((await this.service.store.identity()).epoch, [])
  }

  /** Messages are overtaken by others. */
  #delay(which: (message: Message) => boolean): void {
    const delayed = this.#net.filter(which)
    this.#net.splice(0, Infinity, ...this.#net.filter((message) => !which(message)))
    this.#late.push(...delayed)
  }

  /** The app takes back what is on its way, and the cancel overtakes it. */
  async #takeBack(device: Device): Promise<void> {
    const pushes = [...this.#net, ...this.#late].filter(
      (each) => each.device === device && each.request?.kind === 'push',
    )
    const request = this.chance.one(pushes)?.request
    if (request?.kind !== 'push') return
    const row = this.chance.one(request.commits)
    if (row === undefined) return
    this.#delay((message) => message.device === device)
    for (const runner of device.runners) if (runner.isAsking) runner.giveUp(offline)
    await device.discardNow(row)
    this.book.count('taken back')
    if (this.chance.hits(0.7)) await this.#syncOnce(device)
  }

  #clear(device: Device): void {
    this.book.cleared(device)
    device.clear()
    this.book.count('cleared devices')
  }

  async #rollBack(device: Device): Promise<void> {
    const saved = this.#saved.get(device)
    if (saved === undefined) return
    this.book.free(device)
    await device.restore(saved)
    this.book.count('restored devices')
  }

  #kill(device: Device): void {
    device.runners = device.runners.filter(() => this.chance.hits(0.5))
    device.adopters = device.adopters.filter(() => this.chance.hits(0.5))
  }

  /** A request times out; its message may arrive nevertheless. */
  async #wakeLate(device: Device): Promise<void> {
    for (const runner of device.runners) if (runner.isAsking && this.chance.hits(0.5)) runner.giveUp(offline)
    for (const adopter of device.adopters) if (this.chance.hits(0.5)) await adopter.giveUp()
  }

  /** Faults end: everything under way arrives, then every device syncs until nothing changes. */
  async #settle(): Promise<void> {
    const net = this.#net
    net.push(...this.#late.splice(0))
    while (net.length > 0) {
      await (net.splice(this.chance.pick(net.length), 1)[0] as Message).arrive()
      await checkDevice(this, this.chance.one(this.devices) as Device)
    }
    for (const device of this.devices) await this.#adoptAll(device)
    let before = ''
    for (let quiet = 0, round = 0; quiet < 3; round += 1) {
      if (round === 60) this.fail('drains: the devices do not come to rest')
      for (const device of this.devices) await this.#syncOnce(device)
      const now = await this.#summary()
      quiet = now === before ? quiet + 1 : 0
      before = now
    }
  }

  async #syncOnce(device: Device): Promise<void> {
    const runner = device.start({ isBounded: true })
    for (let effects = 0; !runner.isOver; effects += 1) {
      if (effects === 5000) this.fail(`drains: a round of ${device.name} does not end`)
      if (await runner.step()) continue
      const asked = runner.request()
      if (asked !== undefined) asked.resume(await this.service.serve(asked.request, device.author))
    }
    device.runners = []
    await checkDevice(this, device)
  }

  async #summary(): Promise<string> {
    const parts: unknown[] = [this.service.events.length]
    for (const { storage } of this.devices) {
      const { state, outbox } = await storage.load()
      parts.push(
        state.cursor.at,
        outbox.map(({ n, events, refused }) => [n, events[0]?.id, refused?.code]),
      )
    }
    return JSON.stringify(parts)
  }
}

/** Other events with the same ids. */
const evilOf = (events: readonly { readonly id: string; readonly stream: string; readonly type: string }[]) => ({
  events: events.map(({ id, stream, type }) => ({ id, stream, type, time: 1, data: 'evil' })),
})

function drawn(rares: Style['rares'], chance: Chance): Rare {
  const all = Object.entries(rares) as [Rare, number][]
  let left = chance.next() * all.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [rare, weight] of all) if ((left -= weight) < 0) return rare
  return 'start'
}

export type Running = Pick<Run, 'book' | 'service' | 'devices' | 'fail' | 'isUnnoticed'>
