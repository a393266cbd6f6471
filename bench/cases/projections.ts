/** The projection of the cases, in the three forms that tidemark has for it. */
import { defineProjection, table, type Projection } from 'tidemark'
import { credited, events, type Customer, type DepositEvent } from './workload.js'

const tables = { customers: table<Customer>({ key: 'customer' }) }

export type CustomerProjection = Projection<DepositEvent, typeof tables>

/** Each takes a name, since a run must begin with no rows. */
export const forms = {
  fold: (name) =>
    defineProjection(events, {
      name,
      tables,
      fold: {
        customers: {
          key: ({ data }) => data.customer,
          evolve: (row, { data, position }) => credited(row, data, position),
        },
      },
    }),
  update: (name) =>
    defineProjection(events, {
      name,
      tables,
      on: {
        Deposited: ({ data, position }, { customers }) =>
          customers.update(data.customer, (row) => credited(row, data, position)),
      },
    }),
  'get and put': (name) =>
    defineProjection(events, {
      name,
      tables,
      on: {
        Deposited: async ({ data, position }, { customers }) => {
          customers.put(credited(await customers.get(data.customer), data, position))
        },
      },
    }),
} satisfies Record<string, (name: string) => CustomerProjection>
