/** Why a commit is refused by the rules of this device, for people. The production build has code and values. */
import { notice, say } from '../../messages.js'
import type { CommitRefusal } from '../sync-refused.js'

/** What was in the way. */
export type RefusalFacts = Pick<CommitRefusal, 'stream' | 'position' | 'id'>

/** @param fate what became of the commit that it was decided on, if more is known than a verdict says: for development */
export const reasonOf = (
  code: 'conflict' | 'blocked',
  { stream, position, id }: RefusalFacts,
  fate?: string | false,
): string =>
  notice(
    code,
    code === 'blocked'
      ? say`It was decided on event '${id}', whose commit was ${__DEV__ ? fate || 'refused by the server' : ''}.`
      : stream !== undefined
        ? say`Stream '${stream}' has other events than those that it was decided on.`
        : say`The event at position ${position} matches its condition.`,
  )

export const idTaken = (id: string): string => notice('id-taken', say`Another event has the id '${id}'.`)

export const unknownCommand = (name: string | undefined): string =>
  notice('command-unknown', say`No command '${name}' is known here. Retry with a build of the app that has it.`)

export const tooLarge = (): string => notice('too-large', say`The server takes no commit of that size.`)
