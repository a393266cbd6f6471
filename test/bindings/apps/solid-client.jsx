import { hydrate, render } from 'solid-js/web'
import { List, Shown, Status, Sync } from './Shown.jsx'

const onPage = (begin, target, props) => {
  let use
  const unmount = begin(() => <Shown {...props} given={(set) => (use = set)} />, target)
  return { use: (source) => use(() => source), unmount }
}

export const mountAt = (target, props) => onPage(render, target, props)
export const hydrateAt = (target, props) => onPage(hydrate, target, props)
export const statusAt = (target, of) => render(() => <Status of={of} />, target)
export const syncAt = (target, app) => render(() => <Sync app={app} />, target)
export const listAt = (target, props) => render(() => <List {...props} />, target)
export const flush = () => {}
