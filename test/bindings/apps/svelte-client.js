import { flushSync, hydrate, mount, unmount } from 'svelte'
import Shown from './Shown.svelte'
import Status from './Status.svelte'
import Stored from './Stored.svelte'
import Sync from './Sync.svelte'

const onPage = (app) => ({
  use: (source) => flushSync(() => app.use(source)),
  unmount: () => unmount(app),
})
const mounted = (component, target, props) => {
  const app = mount(component, { target, props })
  return () => unmount(app)
}

export const mountAt = (target, props) => onPage(mount(Shown, { target, props }))
export const hydrateAt = (target, props) => onPage(hydrate(Shown, { target, props }))
export const statusAt = (target, of) => mounted(Status, target, { of })
export const syncAt = (target, app) => mounted(Sync, target, { app })
export const storedAt = (target, props) => mounted(Stored, target, props)
export const flush = () => flushSync()
