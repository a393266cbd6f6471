// What the compiler takes for the data of events: what JSON keeps, and nothing else.
import { expectTypeOf } from 'vitest'
import { z } from 'zod'
import * as tidemark from 'tidemark'
import { defineEvents, type EventCatalogue, type EventShape, type JsonValue, type NotJson } from 'tidemark'

type Having<Data> = { type: 'A'; data: Data }
declare const brand: unique symbol
interface Address { street: string; city?: string; zip: string | undefined }
interface Tree { name: string; children: Tree[]; parent?: Tree }
interface List<T> { head: T; tail?: List<T[]> }
type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
type Pair = [Pair | null, string]
type Expression = [operator: string, ...Expression[]] | number
enum Color { Red = 'red' }

defineEvents<Having<Address>>()
defineEvents<Having<Tree>>()
defineEvents<Having<List<string>>>()
defineEvents<Having<Json>>()
defineEvents<Having<JsonValue>>()
defineEvents<Having<{ a: Json; b: [Json, Json?]; c: { [key: string]: JsonValue }[] }>>()
defineEvents<Having<Pair>>()
defineEvents<Having<Expression>>()
defineEvents<Having<{ id: string & { readonly __brand: 'Id' }; order: { a: string } & { readonly [brand]: 'Order' }; color: Color }>>()
defineEvents<Having<[number, string?]>>()
defineEvents<Having<readonly [number, ...string[]]>>()
defineEvents<Having<{ x: unknown; byName: Record<string, number>; p?: 'a' | 'b' | null }>>()
defineEvents<Having<unknown>>()
defineEvents<Having<{}>>()
defineEvents<Having<null> | { type: 'B'; data: 3; meta: { user: string } } | { type: 'C' | 'D'; data: { k: { t: 1 } | { t: 2; v: string[][] } }; meta?: { user?: string } }>()
tidemark.defineEvents<Having<Address>>()
expectTypeOf(defineEvents()).toExtend<EventCatalogue<EventShape>>()

// @ts-expect-error a Date
defineEvents<Having<Date>>()
// @ts-expect-error a Date within
defineEvents<Having<{ at: Date }>>()
// @ts-expect-error a Date that may be missing
defineEvents<Having<{ at?: Date }>>()
// @ts-expect-error a Date or a text
defineEvents<Having<{ at: Date | string }>>()
// @ts-expect-error a Map deep down, in one of several events
defineEvents<Having<{ at: string }> | { type: 'B'; data: { x: { y: Map<string, number> } } }>()
// @ts-expect-error a Set in a list
defineEvents<Having<{ tags: Set<string>[] }>>()
// @ts-expect-error a function
defineEvents<Having<{ f: () => void }>>()
// @ts-expect-error a method
defineEvents<Having<{ f(): void }>>()
// @ts-expect-error undefined in a list
defineEvents<Having<(string | undefined)[]>>()
// @ts-expect-error undefined in a tuple
defineEvents<Having<[string, undefined]>>()
// @ts-expect-error bigint
defineEvents<Having<bigint>>()
// @ts-expect-error a symbol
defineEvents<Having<{ s: symbol }>>()
// @ts-expect-error nothing: that is null in JSON
defineEvents<Having<undefined>>()
// @ts-expect-error data that may be missing
defineEvents<Having<{ x: string } | undefined>>()
// @ts-expect-error bytes
defineEvents<Having<{ bytes: Uint8Array }>>()
// @ts-expect-error any key, each with a Date
defineEvents<Having<Record<string, Date>>>()
// @ts-expect-error a Date in what contains itself
defineEvents<Having<{ kids: { kids: object[]; at: Date }[] }>>()
// @ts-expect-error far down
defineEvents<Having<{ a: { b: { c: { d: { e: { f: Date } } } } } }>>()
// @ts-expect-error meta
defineEvents<Having<1> & { meta: { at: Date } }>()
// @ts-expect-error meta that may be missing
defineEvents<Having<1> & { meta?: { at: Date } }>()
// @ts-expect-error as a property of the module, too
tidemark.defineEvents<Having<{ at: Date }>>()
// @ts-expect-error what a schema makes of data is stored, and has to be JSON as well
defineEvents({ A: { schema: z.object({ at: z.date() }) } })
defineEvents({ A: { schema: z.object({ at: z.iso.datetime(), of: z.string().optional() }) }, B: {} })

// What the message says.
expectTypeOf<NotJson<Having<{ at: { day: Date } }>>>().toEqualTypeOf<'A.data.at.day is not JSON'>()
expectTypeOf<NotJson<Having<{ days: Date[] }>>>().toEqualTypeOf<'A.data.days[] is not JSON'>()
expectTypeOf<NotJson<Having<1> & { meta?: { by: bigint } }>>().toEqualTypeOf<'A.meta.by is not JSON'>()
expectTypeOf<NotJson<Having<Tree>>>().toBeNever()
