/** Mounts components that were compiled by the plugin of their framework. */
import type { StatusStore } from 'tidemark'
import { describe, expect, test } from 'vitest'
import { commands } from 'vitest/browser'
import type { Framework } from './compiled.js'
import { textOf, type BindingDriver, type Mounted, type Seen, type Source } from './contract.js'
import { fakeStatus } from './fake-status.js'

/** What `apps/*-client` has. */
export interface Client {
  mountAt(target: HTMLElement, props: object): Page
  hydrateAt(target: HTMLElement, props: object): Page
  /** A component that shows a status as text. Returns how to take it away. */
  statusAt(target: HTMLElement, of: StatusStore<string> | { status: StatusStore<string> }): () => unknown
  /** A component that shows how an app syncs: how many commits are pending. */
  syncAt(target: HTMLElement, app: { sync: { status: StatusStore<{ pending: number }> } }): () => unknown
  flush(): void | Promise<void>
}

interface Page {
  use(source: unknown): void
  unmount(): unknown
}

/** What `apps/*-server` has. */
export interface Server {
  rendered(props: object): Promise<string>
  /** What a page needs before its components are taken over. */
  readonly script?: string
}

/** Once for all tests: another copy of a framework would know nothing of the first one's components. */
async function load<M>(framework: Framework, side: 'client' | 'server'): Promise<M> {
  const code = await commands.compiled(framework, side)
  const url = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }))
  return (await import(/* @vite-ignore */ url)) as M
}

export function container(): HTMLElement {
  return document.body.appendChild(document.createElement('div'))
}

/** The components of a framework, and its driver. */
export interface CompiledApp<C extends Client, S extends Server> {
  readonly client: C
  readonly server: S
  readonly driver: BindingDriver
}

export async function compiledApp<C extends Client = Client, S extends Server = Server>(
  framework: Framework,
  traits: Pick<BindingDriver, 'name' | 'keepsFormer' | 'correctsHtml'>,
): Promise<CompiledApp<C, S>> {
  const client = await load<C>(framework, 'client')
  const server = await load<S>(framework, 'server')
  const script = /<script>(.*?)<\/script>/s.exec(server.script ?? '')?.[1]
  if (script !== undefined) document.head.appendChild(document.createElement('script')).textContent = script
  return { client, server, driver: driverOf(client, server, traits) }
}

function driverOf(
  client: Client,
  server: Server,
  traits: Pick<BindingDriver, 'name' | 'keepsFormer' | 'correctsHtml'>,
): BindingDriver {
  const flush = async () => {
    await client.flush()
    // Unsubscriptions of Svelte come in a microtask.
    await new Promise((resolve) => setTimeout(resolve))
  }
  const shown = async <V>(begin: Client['mountAt'], at: HTMLElement, source: Source<V>): Promise<Mounted<V>> => {
    const seen: Seen<V>[] = []
    const page = begin(at, { first: source, seen, textOf })
    await flush()
    let mounted = true
    return {
      seen,
      text: () => at.textContent?.trim() ?? '',
      async use(next) {
        page.use(next)
        await flush()
      },
      async unmount() {
        if (mounted) await page.unmount()
        mounted = false
        at.remove()
        await flush()
      },
    }
  }
  return {
    ...traits,
    flush,
    mount: (source) => shown(client.mountAt, container(), source),
    server: {
      render: (source) => server.rendered({ first: source, seen: [], textOf }),
      async hydrate(html, source) {
        const at = container()
        at.innerHTML = html
        return shown(client.hydrateAt, at, source)
      },
    },
  }
}

/** What a binding does with a status. */
export function statusContract({ client, driver }: CompiledApp<Client, Server>): void {
  describe(`${driver.name}: a status`, () => {
    test.for(['itself', 'of what has it'] as const)(
      '%s is shown, and followed until the component goes',
      async (which) => {
        const status = fakeStatus('idle')
        const at = container()
        const unmount = client.statusAt(at, which === 'itself' ? status : { status })
        await driver.flush()
        expect([at.textContent, status.listeners.size]).toEqual(['idle', 1])
        status.set('live')
        await driver.flush()
        expect(at.textContent).toBe('live')
        await unmount()
        await driver.flush()
        expect(status.listeners.size).toBe(0)
        at.remove()
      },
    )

    test('of an app that syncs is shown, and followed until the component goes', async () => {
      const status = fakeStatus({ pending: 0 })
      const at = container()
      const unmount = client.syncAt(at, { sync: { status } })
      await driver.flush()
      expect([at.textContent?.trim(), status.listeners.size]).toEqual(['0', 1])
      status.set({ pending: 2 })
      await driver.flush()
      expect(at.textContent?.trim()).toBe('2')
      await unmount()
      await driver.flush()
      expect(status.listeners.size).toBe(0)
      at.remove()
    })
  })
}
