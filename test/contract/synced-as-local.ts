/** What a synced store does otherwise than a local one, by the titles of the contracts. */

/** They append more than 1,000 events in one go, which no server has to take. */
export const largeStoreCases = [
  'S14: 250 and 1200 events in one append come back in order',
  'N10: a page where nothing matches still says how far it looked',
]

export const largeOrImported = [
  'appends are stored in the order of their calls, large ones and those with a signal as well',
  'an append that is aborted while it waits for its turn lets the others keep theirs',
  'what is in lists and events is read at once, and small appends altogether',
  'is seen by readers as a whole',
  // They import, which a synced store refuses.
  'of another version of its type: its data is not compared',
  'an import whose ids are those of other events is refused',
]

/** Hundreds of transactions each, of which Node runs all: in an engine one of them shows what its storage does. */
export const moreSeeds = [2, 3].map(
  (seed) => `ids of any time, in any order, made here or given, are each stored once (seed ${seed})`,
)
