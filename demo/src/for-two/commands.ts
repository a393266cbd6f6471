/** What is decided again if another device was faster: each command has a name, under which the outbox keeps it. */
import { defineCommand, refuse } from 'tidemark'
import { defineCommands } from 'tidemark/sync'
import { boardEvents, gates, gateStream } from './flight-board.js'

export const commands = defineCommands({
  giveAnyGate: defineCommand(boardEvents, (flight: string) => ({
    streams: gates.map(gateStream),
    initial: {} as Record<string, string | null>,
    evolve: (taken, { type, data }) =>
      type === 'GateGiven'
        ? { ...taken, [data.gate]: data.flight }
        : type === 'GateFreed' && taken[data.gate] === data.flight
          ? { ...taken, [data.gate]: null }
          : taken,
    decide: (taken) => {
      const gate = gates.find((gate) => !taken[gate])
      return gate === undefined
        ? refuse('No gate is free any more.')
        : [{ stream: gateStream(gate), type: 'GateGiven', data: { gate, flight } }]
    },
  })),
})
