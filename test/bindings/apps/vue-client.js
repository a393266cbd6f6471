import { createApp, createSSRApp, nextTick, shallowRef } from 'vue'
import Shown from './Shown.vue'
import Status from './Status.vue'
import Sync from './Sync.vue'
import Suspended from './Suspended.vue'

const mounted = (app, target) => {
  app.mount(target)
  return () => app.unmount()
}
const onPage = (create, target, props) => {
  const source = shallowRef(props.first)
  const unmount = mounted(create(Shown, { ...props, source }), target)
  return { use: (next) => void (source.value = next), unmount }
}

export const mountAt = (target, props) => onPage(createApp, target, props)
export const hydrateAt = (target, props) => onPage(createSSRApp, target, props)
export const statusAt = (target, of) => mounted(createApp(Status, { of }), target)
export const syncAt = (target, app) => mounted(createApp(Sync, { app }), target)
export const suspendedAt = (target, source) => mounted(createApp(Suspended, { source: () => source }), target)
export const takeOverSuspended = (target, source) => mounted(createSSRApp(Suspended, { source: () => source }), target)
export const flush = nextTick
