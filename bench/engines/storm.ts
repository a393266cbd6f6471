/** Writers and followers of one log for minutes, and the same over a column that PostgreSQL counts by itself. */
import { stormOnIdentity, stormOnTidemark } from '../../test/support/postgres/storm.js'
import { done, job, ready } from './program.js'

export interface StormJob {
  readonly url: string
  readonly writers: number
  readonly followers: number
  readonly seconds: number
}

const { url, writers, followers, seconds } = job<StormJob>()
await ready()
const storm = { url, writers, followers }
const tidemark = await stormOnTidemark({ ...storm, ms: seconds * 1000 })
// It has to show that a follower can pass an event, and ends when it has.
const identity = await stormOnIdentity({ ...storm, ms: 60_000, untilMissed: true })
done({ tidemark, identity })
