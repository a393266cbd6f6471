// Mutants of what bindings show after a change of query, and of observables.
const tests = ['test/unit/bindings/shown.test.ts']
const observable = ['test/unit/reading/to-observable.test.ts']

export default [
  {
    id: 'bindings-1',
    file: 'src/bindings/shown.ts',
    find: "last?.status === 'ready' ? staleOf(last) : undefined",
    replace: "last?.status === 'ready' ? last : undefined",
    tests,
    breaks: 'the answer of a former query is shown as fresh',
  },
  {
    id: 'bindings-2',
    file: 'src/bindings/shown.ts',
    find: "|| origin?.getSnapshot().status === 'loading'",
    replace: '',
    tests,
    breaks: 'rows of a former user stay while the next query loads',
  },
  {
    id: 'bindings-3',
    file: 'src/bindings/shown.ts',
    find: 'kept = origin = undefined',
    replace: 'return snapshot',
    tests,
    breaks: 'a former answer comes back when the query loads again',
  },
  {
    id: 'bindings-4',
    file: 'src/bindings/shown.ts',
    find: 'let origin = former?.origin()',
    replace: 'let origin = former?.source || undefined',
    tests,
    breaks: 'after two changes, nothing notices that the query of the answer was forgotten',
  },
  {
    id: 'bindings-5',
    file: 'src/bindings/shown.ts',
    find: "live.status === 'ready' && !live.stale ?",
    replace: "live.status === 'ready' ?",
    tests,
    breaks: 'a stale snapshot becomes a new object each time, and renders without end',
  },
  {
    id: 'observable-1',
    file: 'src/reading/to-observable.ts',
    find: '      if (snapshot === shown) return\n',
    replace: '',
    tests: observable,
    breaks: 'a snapshot is told twice',
  },
  {
    id: 'observable-2',
    file: 'src/reading/to-observable.ts',
    find: '    next()\n    return',
    replace: '    return',
    tests: observable,
    breaks: 'an observer waits for the next change to see what is there',
  },
  {
    id: 'observable-3',
    file: 'src/reading/to-observable.ts',
    find: "[Symbol.observable ?? '@@observable']: itself",
    replace: '',
    tests: observable,
    breaks: 'where Symbol.observable is defined, RxJS refuses it',
  },
]
