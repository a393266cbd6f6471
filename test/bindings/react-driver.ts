/** Mounts components that use `tidemark/react`, with whichever React the project of the test has. */
import { createElement, memo, StrictMode, useEffect, type ReactNode } from 'react'
import { createRoot, hydrateRoot, type Root } from 'react-dom/client'
import { flushSync } from 'react-dom'
import { renderToString } from 'react-dom/server'
import { useLiveQuery, type Live } from 'tidemark/react'
import { textOf, type BindingDriver, type Mounted, type Seen, type Source } from './contract.js'

/** Renders are made where React makes them, in tasks: here is the end of those that are due. */
export const flush = (): Promise<void> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.addEventListener('message', () => {
      port1.close()
      resolve()
    })
    port1.start()
    port2.postMessage(undefined)
  })

interface Props<V> {
  readonly source: Source<V>
  readonly seen: Seen<V>[]
}

// A component of its own, so that what is counted are renders with another value, and not calls of the hook.
const Shown = memo(({ live, seen }: { readonly live: Live<unknown>; readonly seen: Live<unknown>[] }): ReactNode => {
  // StrictMode calls it twice for each render.
  if (seen.at(-1) !== live) seen.push(live)
  return createElement('p', null, textOf(live))
})

function Component<V>({ source, seen }: Props<V>): ReactNode {
  return createElement(Shown, { live: useLiveQuery(source), seen: seen as Live<unknown>[] })
}

/** Hydration is made in tasks of its own; effects of parents come last. */
function WhenMounted({ children, done }: { readonly children?: ReactNode; readonly done: () => void }): ReactNode {
  useEffect(done, [done])
  return children
}

export function container(): HTMLElement {
  return document.body.appendChild(document.createElement('div'))
}

function onPage<V>(
  at: HTMLElement,
  root: Root,
  seen: Seen<V>[],
  element: (source: Source<V>) => ReactNode,
): Mounted<V> {
  return {
    seen,
    text: () => at.textContent ?? '',
    async use(source) {
      flushSync(() => root.render(element(source)))
      await flush()
    },
    async unmount() {
      root.unmount()
      at.remove()
      await flush()
    },
  }
}

export function reactDriver({ strict = false }: { readonly strict?: boolean } = {}): BindingDriver {
  const elementOf = <V>(seen: Seen<V>[]) => {
    return (source: Source<V>): ReactNode => {
      const element = createElement(Component<V>, { source, seen })
      return strict ? createElement(StrictMode, null, element) : element
    }
  }
  return {
    name: strict ? 'React in StrictMode' : 'React',
    keepsFormer: true,
    startsPerMount: strict ? 2 : 1,
    flush,
    async mount<V>(source: Source<V>) {
      const seen: Seen<V>[] = []
      const element = elementOf(seen)
      const at = container()
      const root = createRoot(at)
      flushSync(() => root.render(element(source)))
      await flush()
      return onPage(at, root, seen, element)
    },
    server: {
      render: async <V>(source: Source<V>) => renderToString(elementOf<V>([])(source)),
      async hydrate<V>(html: string, source: Source<V>) {
        const seen: Seen<V>[] = []
        const element = elementOf(seen)
        const at = container()
        at.innerHTML = html
        let mounted = () => {}
        const done = new Promise<void>((resolve) => (mounted = resolve))
        const wrapped = (next: Source<V>) => createElement(WhenMounted, { done: mounted }, element(next))
        const root = hydrateRoot(at, wrapped(source))
        await done
        await flush()
        return onPage(at, root, seen, wrapped)
      },
    },
  }
}
