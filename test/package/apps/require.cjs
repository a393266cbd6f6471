const { defineEvents, TidemarkError } = require('tidemark')
const { openEventStore } = require('tidemark/memory')
const { virtualClock } = require('tidemark/testing')

const events = defineEvents()
openEventStore({ name: 'shop', events }).then(async (store) => {
  const { position } = await store.append({ stream: 'basket-1', events: [events.ItemAdded({ sku: 'A1', quantity: 2 })] })
  console.log(JSON.stringify({ position, errors: typeof TidemarkError, clock: typeof virtualClock }))
  await store.close()
})
