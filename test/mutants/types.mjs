export default [
  {
    id: 'types-1',
    file: 'src/read-model/define.ts',
    find: 'filter.types ?? (readsAll ? catalogueCore(events).types : handled)',
    replace: 'filter.types ?? (readsAll ? undefined : handled)',
    tests: ['test/contract/projection.node.test.ts'],
    breaks: 'a fold over a catalogue with definitions is given events of types that it does not know',
  },
  {
    id: 'types-2',
    file: 'src/read-model/define.ts',
    find: 'return definition ?? ((given: unknown) => given)',
    replace: 'return definition ?? (() => ({}))',
    tests: ['test/contract/projection.node.test.ts'],
    breaks: 'table<Row>()({ … }) loses the definition',
  },
]
