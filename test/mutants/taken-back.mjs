// Mutants of runs over a log whose end a restored server takes back, and of patience in a page that is prerendered.
const tests = ['test/unit/sync/runs-of-a-log-taken-back.test.ts']
const status = ['test/unit/running/status.test.ts']

export default [
  {
    id: 'taken-back-fault',
    file: 'src/running/read-model-target.ts',
    find: "if (!(await isSameLog(now, ports))) return 'moved'",
    replace: '',
    tests,
    breaks: 'a run stops for good at what a log held that is not there any more',
  },
  {
    id: 'taken-back-noted',
    file: 'src/running/shared-storage.ts',
    find: 'if (isFinal(error)) return',
    replace: 'return',
    tests,
    breaks: 'a run with nothing to store never notices another log where that could not be noted in the rows',
  },
  {
    id: 'taken-back-goal',
    file: 'src/projection/machine.ts',
    find: 'Math.min(this.#run.goal ?? head, head)',
    replace: 'this.#run.goal ?? head',
    tests,
    breaks: 'a batch waits for events that the log lost',
  },
  {
    id: 'taken-back-gone',
    file: 'src/read-model/state.ts',
    find: "...(fault !== undefined && { owner: '' })",
    replace: '...(fault !== undefined && { fault })',
    tests,
    breaks: 'a run stays stopped at an event that is not there any more',
  },
  {
    id: 'taken-back-plain',
    file: 'src/projection/plain.ts',
    find: 'if (this.#moved || (await this.#load()) !== this.#saved)',
    replace: 'if (this.#moved)',
    tests,
    breaks: 'a plain projector stops for good at what a log held that is not there any more',
  },
  {
    id: 'taken-back-follow',
    file: 'src/sync/follow-log.ts',
    find: 'identity === undefined ? after : Math.min(after, sameUpTo(state, identity))',
    replace: 'after',
    tests: ['test/contract/synced-store.node.test.ts'],
    breaks: 'a loop that follows the log misses what came where it was taken back',
  },
  {
    id: 'prerendered-patience',
    file: 'src/running/status-keeper.ts',
    find: "prerendered()?.addEventListener('prerenderingchange', () => this.#progress.excuse(), { once: true })",
    replace: '',
    tests: status,
    breaks: 'the time before the activation of a page counts as standing still',
  },
  {
    id: 'prerendered-asks',
    file: 'src/running/status-keeper.ts',
    find: '&& prerendered() === undefined && this',
    replace: '&& this',
    tests: status,
    breaks: 'a page that is prerendered judges others, and asks what it is told when that is out of date',
  },
]
