import { generateHydrationScript, renderToString } from 'solid-js/web'
import { Shown, Status } from './Shown.jsx'

export const rendered = async (props) => renderToString(() => <Shown {...props} />)
export const renderedStatus = async (of) => renderToString(() => <Status of={of} />)
export const script = generateHydrationScript()
