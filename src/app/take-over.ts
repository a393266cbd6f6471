/** Newer code of an app takes over from older in this context: for the development build. */
import { ClosedError } from '../errors.js'
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
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

/** After that, ms, what still follows an app that was replaced is no component that is about to follow the newer code. */
const replacing = 5_000

/** Numbers an app, and keeps what was open when newer code took over, so that its rows stay on the screen meanwhile. */
export function replaceable<O>(
  { clock, hot }: { readonly clock: Clock; readonly hot: boolean },
  app: {
    opened(): O | undefined
    /** Something is subscribed. */
    isFollowed(): boolean
    changed(): void
    close(reason: unknown): Promise<void>
  },
): OpenApp & { replaced(): O | undefined } {
  let replaced: O | undefined
  return {
    made: (made += 1),
    ranAt: clock.now(),
    isHot: hot,
    replaced: () => replaced,
    end() {
      const opened = app.opened()
      if (opened !== undefined) {
        replaced = opened
        clock.schedule(replacing, () => {
          if (!app.isFollowed()) return
          replaced = undefined
          app.changed()
        })
      }
      return app.close(new ClosedError(say`The app was replaced by newer code, and`))
    },
  }
}

/**
 * Starts an app, and notes that it is open until it is closed. Ends older code of the same name if the app is hot, or the
 * app itself if newer code is.
 *
 * @param start gets what is known of the code if it is hot
 */
export async function joinApps<O extends { close(): Promise<void> }>(
  name: string,
  app: OpenApp,
  start: (run: HotRun | undefined) => Promise<O>,
): Promise<O> {
  const all = apps.get(name) ?? new Set()
  apps.set(name, all)
  const others = [...all]
  all.add(app)
  const leave = () => {
    all.delete(app)
    if (all.size === 0 && apps.get(name) === all) apps.delete(name)
  }
  try {
    // Not awaited: the end waits for this opening.
    if (others.some((other) => other.isHot && other.made > app.made)) void app.end()
    const older = app.isHot ? others.filter((other) => other.made < app.made) : []
    await Promise.all(older.map((other) => other.end()))
    const replaced = older.length === 0 ? undefined : Math.max(...older.map(({ ranAt }) => ranAt))
    const opened = await start(app.isHot ? { ranAt: app.ranAt, replaced } : undefined)
    return {
      ...opened,
      close() {
        leave()
        return opened.close()
      },
    }
  } catch (error) {
    leave()
    throw error
  }
}
