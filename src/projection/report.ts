/** What a run reports while it works: for status, logs, metrics and tracing. */
import type { RecordedEvent } from '../events/event.js'
import type { ReportedEvent } from '../reports.js'

export type { ProjectionOccurrence, ProjectionReport, ReportedEvent } from '../reports.js'

/** The part of a report that names an event. */
export const reportedEvent = (event: RecordedEvent): ReportedEvent => ({
  position: event.position,
  eventId: event.id,
  eventType: event.type,
  stream: event.stream,
})
