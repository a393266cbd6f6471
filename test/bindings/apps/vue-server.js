import { createSSRApp, shallowRef } from 'vue'
import { renderToString } from '@vue/server-renderer'
import Shown from './Shown.vue'
import Status from './Status.vue'
import Suspended from './Suspended.vue'

export const rendered = (props) => renderToString(createSSRApp(Shown, { ...props, source: shallowRef(props.first) }))
export const renderedStatus = (of) => renderToString(createSSRApp(Status, { of }))
export const renderedSuspended = (source) => renderToString(createSSRApp(Suspended, { source: () => source }))
