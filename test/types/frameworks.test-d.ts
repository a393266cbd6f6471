// Bindings for Vue, Svelte and Solid: what a component gets has the type of the query's answer.
import type { Accessor } from 'solid-js'
import type { Readable } from 'svelte/store'
import { ref, type ComputedRef } from 'vue'
import { expectTypeOf } from 'vitest'
import type { Live, LiveQuery, ProjectionHandle, ProjectionStatus } from 'tidemark'
import { createLiveQuery, createStatus } from 'tidemark/solid'
import { live, status, store } from 'tidemark/svelte'
import { useLiveQuery, useStatus } from 'tidemark/vue'

interface Row { readonly id: string; readonly count: number }
declare const rows: LiveQuery<readonly Row[]>
declare const chosen: string | undefined
declare const handle: Pick<ProjectionHandle, 'status'>

async function vue() {
  const { data, status: phase, error, stale } = useLiveQuery(rows)
  expectTypeOf(data).toEqualTypeOf<ComputedRef<readonly Row[] | undefined>>()
  expectTypeOf(phase.value).toEqualTypeOf<'off' | 'loading' | 'ready' | 'error'>()
  expectTypeOf(error.value).toEqualTypeOf<unknown>()
  expectTypeOf(stale.value).toEqualTypeOf<boolean>()
  expectTypeOf(useLiveQuery(() => chosen && rows).data.value).toEqualTypeOf<readonly Row[] | undefined>()
  expectTypeOf(useLiveQuery(ref(rows)).data.value).toEqualTypeOf<readonly Row[] | undefined>()
  expectTypeOf(useLiveQuery(() => null).data.value).toEqualTypeOf<unknown>()
  const awaited = await useLiveQuery(rows)
  expectTypeOf(awaited.data).toEqualTypeOf<ComputedRef<readonly Row[] | undefined>>()
  // @ts-expect-error the answer cannot be set
  data.value = []
  // @ts-expect-error a promise of rows is no query
  useLiveQuery(Promise.resolve([]))
  expectTypeOf(useStatus(handle)).toEqualTypeOf<ComputedRef<ProjectionStatus>>()
  expectTypeOf(useStatus(handle.status)).toEqualTypeOf<ComputedRef<ProjectionStatus>>()
  expectTypeOf(useStatus(() => handle).value.phase).toEqualTypeOf<ProjectionStatus['phase']>()
}

function svelte() {
  expectTypeOf(live(rows).current).toEqualTypeOf<readonly Row[] | undefined>()
  expectTypeOf(live(() => chosen && rows).current).toEqualTypeOf<readonly Row[] | undefined>()
  expectTypeOf(live(rows).status).toEqualTypeOf<'off' | 'loading' | 'ready' | 'error'>()
  // @ts-expect-error the answer cannot be set
  live(rows).current = []
  expectTypeOf(store(rows)).toEqualTypeOf<Readable<Live<readonly Row[]>>>()
  expectTypeOf(status(handle)).toEqualTypeOf<{ readonly current: ProjectionStatus }>()
  expectTypeOf(status(() => handle.status).current).toEqualTypeOf<ProjectionStatus>()
}

function solid() {
  const shown = createLiveQuery(() => chosen && rows, { key: 'id' })
  expectTypeOf(shown).toEqualTypeOf<Accessor<Live<readonly Row[]>>>()
  const now = shown()
  if (now.status === 'ready') expectTypeOf(now.data).toEqualTypeOf<readonly Row[]>()
  // @ts-expect-error Solid follows what a function reads
  createLiveQuery(rows)
  // @ts-expect-error a key is a name
  createLiveQuery(() => rows, { key: 1 })
  expectTypeOf(createStatus(handle)).toEqualTypeOf<Accessor<ProjectionStatus>>()
  expectTypeOf(createStatus(() => handle.status)()).toEqualTypeOf<ProjectionStatus>()
}

void [vue, svelte, solid]
