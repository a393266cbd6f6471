/** Lets the page paint and handle input during a long write. */
import { requested } from '../../platform/indexeddb.js'
import type { Slices } from '../../platform/slices.js'

/** Only a request keeps the transaction open meanwhile. */
export async function pageTurn(request: IDBRequest, slices: Slices): Promise<void> {
  await requested(request as IDBRequest<unknown>)
  slices.began()
}
