/** The owner of the logs that the contract of servers is tested with. */
import type { Refusal, WireCommit } from 'tidemark/server'

/** Refuses commits with a `Refused` event, and says its data if that is a text. */
export function refusalOf(events: WireCommit['events']): Refusal | undefined {
  const refused = events.find(({ type }) => type === 'Refused')
  return refused && { code: 'by-rule', message: typeof refused.data === 'string' ? refused.data : 'It is refused.' }
}
