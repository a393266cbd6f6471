/** Newer code of an app takes over from older in this context: for the development build. */
import { ClosedError } from '../errors.js'
import { say } from '../messages.js'
import type { Clock } from '../platform/clock.js'
import { FormerRows } from './former-rows.js'
import type { HotRun } from './open-app.js'

/** An app that is open in this context, under the name that it had when it was opened. */
export interface OpenApp {
  /** A later one is newer code. */
  readonly made: number
  /** When its module ran, in ms since the epoch. */
  readonly ranAt: number
  /** Takes over from older code of the same name. */
  readonly isHot: boolean
  /** Absent unless it is hot. */
  readonly formerRows: FormerRows | undefined
  /** Newer code takes over: stops everything. */
  end(): Promise<void>
}

const apps = new Map<string, Set<OpenApp>>()
let made = 0

/** How long components that follow a replaced app may take to follow the newer code instead, ms. */
const replacing = 5_000

/** Numbers an app, whose rows stay on the screen while newer code takes over. */
export function replaceable(
  { clock, hot }: { readonly clock: Clock; readonly hot: boolean },
  app: {
    /** May throw. */
    name(): string
    /** Something is subscribed. */
    isFollowed(): boolean
    changed(): void
    close(reason: unknown): Promise<void>
  },
): OpenApp {
  const number = (made += 1)
  const older = (): readonly FormerRows[] => {
    try {
      const open = [...(apps.get(app.name()) ?? [])].filter((other) => other.made < number)
      return open.flatMap(({ formerRows = [] }) => formerRows)
    } catch {
      return []
    }
  }
  const formerRows = hot ? new FormerRows(older, app.changed) : undefined
  return {
    made: number,
    ranAt: clock.now(),
    isHot: hot,
    formerRows,
    end() {
      if (formerRows !== undefined) {
        formerRows.replaced()
        clock.schedule(replacing, () => {
          formerRows.forgetFormer()
          if (!app.isFollowed()) return
          formerRows.forget()
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
    app.formerRows?.follow(older.flatMap(({ formerRows = [] }) => formerRows))
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
