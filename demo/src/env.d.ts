/// <reference types="vite/client" />

/** The outlines of the states as one SVG path, made by demo/vite.config.ts. */
declare module 'virtual:us-states' {
  const path: string
  export default path
}

/** What the service worker keeps for use without a network; put in by demo/vite.config.ts. */
declare const __SHELL__: { readonly revision: string; readonly files: readonly string[] }
