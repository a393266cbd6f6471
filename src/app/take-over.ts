/** Newer code of an app takes over from older in this context: for the development build. */
import type { HotRun } from './open-app.js'

/** An app that is open in this context, under the name that it had when it was opened. */
export interface OpenApp {
  /** A later one is newer code. */
  readonly made: number
  /** When its module ran, in ms since the epoch. */
  readonly ranAt: number
  /** Takes over from older code of the same name. */
  readonly isHot: boolean
  /** Newer code takes over: stops everything. */
  end(): Promise<void>
}

const apps = new Map<string, Set<OpenApp>>()
let made = 0

/** Numbers the apps of this context. */
export const nextApp = (): number => (made += 1)

/**
 * Notes that an app is open. Ends older code of the same name if the app is hot, or the app itself if newer code is.
 * Resolves with how to take the note back, and what is known of the code if it is hot.
 */
export async function joinApps(
  name: string,
  app: OpenApp,
): Promise<{ leave(): void; readonly run: HotRun | undefined }> {
  const all = apps.get(name) ?? new Set()
  apps.set(name, all)
  const others = [...all]
  all.add(app)
  const leave = () => {
    all.delete(app)
    if (all.size === 0 && apps.get(name) === all) apps.delete(name)
  }
  if (others.some((other) => other.isHot && other.made > app.made)) {
    leave()
    // Not awaited: the end waits for this opening.
    void app.end()
    return { leave, run: undefined }
  }
  const older = app.isHot ? others.filter((other) => other.made < app.made) : []
  await Promise.all(older.map((other) => other.end()))
  const replaced = older.length === 0 ? undefined : Math.max(...older.map(({ ranAt }) => ranAt))
  return { leave, run: app.isHot ? { ranAt: app.ranAt, replaced } : undefined }
}
