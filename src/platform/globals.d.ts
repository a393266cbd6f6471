/** Whether this is the development build. `scripts/builds.mjs` puts `true` or `false` in its place. */
declare const __DEV__: boolean
