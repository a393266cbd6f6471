// The types that tidemark/durable-object declares fit those of the runtime.
import type { DurableObjectState, WebSocket as RuntimeSocket } from '@cloudflare/workers-types'
import { durableLog, durableLogStore, isTicketed, type DurableContext, type DurableSocket } from 'tidemark/durable-object'
import { serverLog } from 'tidemark/server'
import { expectTypeOf, test } from 'vitest'

declare const ctx: DurableObjectState
declare const socket: RuntimeSocket

test('the state of an object is a context, and its sockets are sockets', () => {
  expectTypeOf(ctx).toExtend<DurableContext>()
  expectTypeOf(socket).toExtend<DurableSocket>()
})

test('what session says of claims is what accept gets', () => {
  durableLog(ctx, {
    session: () => ({ author: 'anna', claims: { isOwner: true } }),
    accept: (commit, { author, claims }) => {
      expectTypeOf(author).toEqualTypeOf<string>()
      expectTypeOf(claims).toEqualTypeOf<{ isOwner: boolean }>()
      return claims.isOwner ? undefined : { code: 'no', message: commit.events[0]?.type ?? '' }
    },
  })
  durableLog(ctx, { session: () => new Response(null, { status: 401 }) })
  // @ts-expect-error Without a session nothing says who it is.
  durableLog(ctx, {})
})

test('the store is one of a server', () => {
  serverLog(durableLogStore(ctx))
  expectTypeOf(isTicketed).parameter(0).toEqualTypeOf<Request>()
})
