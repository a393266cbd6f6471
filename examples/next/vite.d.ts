/** Vite has this, Next does not: `shared/todo.ts` passes it on. */
interface ImportMeta {
  readonly hot?: undefined
}
