import { render } from 'svelte/server'
import Shown from './Shown.svelte'
import Status from './Status.svelte'
import Stored from './Stored.svelte'

const bodyOf = async (component, props) => (await render(component, { props })).body

export const rendered = (props) => bodyOf(Shown, props)
export const renderedStatus = (of) => bodyOf(Status, { of })
export const renderedStore = (props) => bodyOf(Stored, props)
