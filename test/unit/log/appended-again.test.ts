// A constant event that is appended at each click is stored once: the development build says so.
import { afterEach, expect, test, vi } from 'vitest'
import { defineEvents } from 'tidemark'
import { openEventStore } from 'tidemark/memory'

const events = defineEvents<{ type: 'Clicked'; data: null }>()
const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
afterEach(() => warned.mockClear())

test('the same event object again after it was stored: one warning for a store', async () => {
  const store = await openEventStore({ name: 'clicks', events })
  const clicked = events.Clicked(null)
  expect(await store.append('page', clicked)).toMatchObject({ duplicate: false })
  expect(warned).not.toHaveBeenCalled()
  expect(await store.append('page', clicked)).toMatchObject({ duplicate: true })
  expect(await store.append({ stream: 'page', events: [clicked] })).toMatchObject({ duplicate: true })
  expect(warned).toHaveBeenCalledOnce()
  expect(warned.mock.calls[0]?.[0]).toContain("the same 'Clicked' event object was appended to 'clicks' again")
  await store.close()
})

test('no warning for events of their own, and none for a retry of what was not known to be stored', async () => {
  const store = await openEventStore({ name: 'others', events })
  const [first, second] = [events.Clicked(null), events.Clicked(null)]
  await store.append('page', [first, second])
  await store.append('page', events.Clicked(null))
  // Another object with the id: what a retry after a reload appends.
  expect(await store.append('page', [{ ...first }, { ...second }])).toMatchObject({ duplicate: true })
  expect(warned).not.toHaveBeenCalled()
  await store.close()
})
