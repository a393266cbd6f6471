// Mutants of live queries, views, waiting, status and sets of listeners.
const query = ['test/unit/read-model/live-query.test.ts']
const leaks = ['test/unit/read-model/live-leaks.test.ts']
const wait = ['test/unit/read-model/caught-up.test.ts']
const status = ['test/unit/read-model/status.test.ts', 'test/unit/read-model/status-keeper.test.ts']
const reads = ['test/unit/read-model/live.test.ts']
const contract = ['test/contract/projection.node.test.ts']
const rounds = ['test/unit/platform/listeners.test.ts']
const look = ['test/unit/platform/lookout.test.ts']
const live = 'src/read-model/live.ts'
const view = 'src/read-model/view.ts'
const caughtUp = 'src/read-model/caught-up.ts'
const keeper = 'src/read-model/status.ts'
const projection = 'src/read-model/live-projection.ts'
const folds = ['test/unit/read-model/live-projection.test.ts']

export default [
  // live.ts
  { id: 'L7', file: live, find: '    stop?.()\n', replace: '', tests: [...query, ...leaks], breaks: 'the last unsubscribe does not end the watch' },
  { id: 'L8', file: live, find: 'if (stop === undefined || end()) return', replace: 'if (end()) return', tests: query, breaks: 'an answer or error after the last unsubscribe is shown' },
  { id: 'live-1', file: live, find: '    cancelDeadline()\n    calm()', replace: '    calm()', tests: query, breaks: 'the deadline of a run outlives the last unsubscribe' },
  { id: 'live-2', file: live, find: '    cancelDeadline()\n    calm()', replace: '    cancelDeadline()', tests: query, breaks: 'the retry timer outlives the last unsubscribe' },
  { id: 'live-3', file: live, find: '    if (run !== mine) return\n', replace: '', tests: query, breaks: 'the late result of a run that was given up is shown' },
  { id: 'live-4', file: live, find: '    else retryLater()\n', replace: '', tests: query, breaks: 'a failed query stays failed until the next commit' },
  { id: 'live-5', file: live, find: '      pause = Math.min(2 * pause, pauses[1])\n', replace: '', tests: query, breaks: 'a failing query runs every 5 s for ever' },
  { id: 'live-6', file: live, find: 'Math.min(2 * pause, pauses[1])', replace: '2 * pause', tests: query, breaks: 'pauses grow without end' },
  { id: 'live-7', file: live, find: '    pause = pauses[0]\n', replace: '', tests: query, breaks: 'after a success the next failure waits as long as the one before' },
  { id: 'live-8', file: live, find: '    cancelRetry ??= clock.schedule', replace: '    cancelRetry?.()\n    cancelRetry = clock.schedule', tests: query, breaks: 'changes put off the retry' },
  { id: 'live-9', file: live, find: 'if (run === undefined && snapshot.state !== \'ready\') evaluate()', replace: '', tests: query, breaks: 'a new subscriber of a failed query waits' },
  { id: 'live-10', file: live, find: 'run === undefined && snapshot.state', replace: 'snapshot.state', tests: query, breaks: 'each subscriber that comes during a run makes one more' },
  { id: 'live-11', file: live, find: 'run === undefined && snapshot.state !== \'ready\'', replace: 'run === undefined', tests: query, breaks: 'each subscriber of a ready query runs it' },
  { id: 'live-12', file: live, find: '        if (run !== undefined) limit(run)\n', replace: '', tests: query, breaks: 'a run that hung before the rest is never given up' },
  { id: 'live-13', file: live, find: 'if (mine.since > since) limit(mine)\n      else finish', replace: 'finish', tests: query, breaks: 'a run that gets on is given up all the same' },
  { id: 'live-14', file: live, find: 'since + runTimeout - clock.monotonic()', replace: 'runTimeout', tests: query, breaks: 'the 30 s begin again with every subscriber' },
  { id: 'live-15', file: live, find: '    if (again) evaluate()\n', replace: '', tests: query, breaks: 'a change during a run is lost' },
  { id: 'live-16', file: live, find: '|| run !== undefined) return\n    again = false', replace: ') return\n    again = false', tests: query, breaks: 'runs overlap' },
  { id: 'live-17', file: live, find: '    again = false\n    const mine', replace: '    const mine', tests: query, breaks: 'a run follows every run, for ever' },
  { id: 'live-18', file: live, find: ', ...(\'value\' in snapshot ? { value: snapshot.value } : {})', replace: '', tests: query, breaks: 'an error hides the last answer' },
  { id: 'live-19', file: live, find: 'snapshot.state === \'ready\' && equal(snapshot.value, answer.value) ? snapshot : ', replace: '', tests: query, breaks: 'the same answer is another snapshot' },
  { id: 'live-20', file: live, find: '      if (stop === undefined) end()\n', replace: '', tests: query, breaks: 'a query at rest shows the value of a closed view as ready' },
  { id: 'live-21', file: live, find: '} else if (!end()) {', replace: '} else {', tests: [...query, ...leaks, ...contract], breaks: 'subscribing to a query of a closed view begins timers' },
  { id: 'live-22', file: live, find: 'if (remove() && listeners.size === 0) rest()', replace: 'remove()\n        rest()', tests: query, breaks: 'the first unsubscribe ends it for all' },
  { id: 'live-23', file: live, find: '    rest()\n    set(failed(error))', replace: '    set(failed(error))', tests: query, breaks: 'a closed view leaves timers' },
  { id: 'live-24', file: live, find: 'if (next !== undefined && next !== snapshot) set(next)', replace: 'if (next !== undefined) set(next)', tests: query, breaks: 'the same answer is told again' },
  { id: 'live-25', file: live, find: 'getServerSnapshot: () => loading', replace: 'getServerSnapshot: () => snapshot', tests: query, breaks: 'what is rendered on a server does not fit the page' },

  // view.ts
  { id: 'L5', file: view, find: '      watching.tell()\n', replace: '', tests: [...leaks, ...contract], breaks: 'the end of a view does not end its watches' },
  { id: 'view-1', file: view, find: 'end: () => (closed ? closedError() : undefined)', replace: 'end: () => undefined', tests: contract, breaks: 'a closed view leaves its queries ready' },
  { id: 'view-2', file: view, find: 'if (reading === tables) touched = tables', replace: 'touched = tables', tests: contract, breaks: 'a run that was given up decides what the query hears of', equivalent: 'the tables of the newest run count in any case, and those in `touched` beyond them only after a run that failed, which is made again anyway' },
  { id: 'view-3', file: view, find: 'if (tries === maxTries) return undefined', replace: 'if (tries === maxTries) return { value, position: 0 }', tests: contract, breaks: 'torn values are shown' },
  { id: 'view-4', file: view, find: 'known = asked.map(', replace: 'asked.map(', tests: contract, breaks: 'the second try is torn as the first' },
  { id: 'view-5', file: view, find: 'one.table === table && equal(', replace: 'equal(', tests: reads, breaks: 'a read of one table is answered with the rows of another' },
  { id: 'view-6', file: view, find: 'known.splice(at, at < 0 ? 0 : 1)[0]', replace: 'known.at(at)', tests: reads, breaks: 'a read is answered with that of another question' },
  { id: 'view-7', file: view, find: 'equal(one.query, question)', replace: 'equal(one.query.kind, question.kind)', tests: reads, breaks: 'a read of one range is answered with that of another' },
  { id: 'view-8', file: view, find: 'momentOf, () => seen ?? \'\')', replace: 'momentOf, () => seen)', tests: leaks, breaks: 'what happened before the first look that succeeds is missed' },
  { id: 'view-9', file: view, find: '    if (!first) changed(\'unknown\')', replace: '    if (first) changed(\'unknown\')', tests: leaks, breaks: 'a lost hint is never made up for' },
  { id: 'view-10', file: view, find: '    stopListening()\n', replace: '', tests: leaks, breaks: 'a query at rest listens to the signals' },
  { id: 'view-11', file: view, find: '    stopLooking()\n', replace: '', tests: leaks, breaks: 'a query at rest looks every 5 s' },
  { id: 'view-12', file: view, find: '|| reading.has(table)', replace: '', tests: reads, breaks: 'a commit to a table that is just being read is missed' },
  { id: 'view-13', file: view, find: 'moments.size < 2', replace: 'moments.size < 3', tests: reads, breaks: 'reads of two commits are shown together' },

  // caught-up.ts
  { id: 'C2', file: caughtUp, find: '&& !(built && rebuilding !== undefined)', replace: '', tests: wait, breaks: 'a rebuild is said to be complete when it begins' },
  { id: 'C4', file: caughtUp, find: 'refreshed.then(begin, ', replace: 'begin()\n    refreshed.catch(', tests: wait, breaks: 'an old status decides' },
  { id: 'C5', file: caughtUp, find: '      cancel()\n', replace: '', tests: wait, breaks: 'the timer of a wait outlives it' },
  { id: 'wait-1', file: caughtUp, find: '      unsubscribe()\n', replace: '', tests: wait, breaks: 'a wait that ended listens on' },
  { id: 'wait-2', file: caughtUp, find: '      unsuspect()\n', replace: '', tests: wait, breaks: 'the timer of a suspicion outlives the wait' },
  { id: 'wait-3', file: caughtUp, find: 'signal?.removeEventListener(\'abort\', aborted)', replace: '', tests: wait, breaks: 'a listener stays on the caller\'s signal' },
  { id: 'wait-4', file: caughtUp, find: '      if (over) return\n', replace: '', tests: wait, breaks: 'a look that comes after the end subscribes for ever' },
  { id: 'wait-5', file: caughtUp, find: 'position >= wanted', replace: 'position > wanted', tests: wait, breaks: 'the position itself is not enough' },
  { id: 'wait-6', file: caughtUp, find: '      if (!caller.ended) finish', replace: '      finish', tests: wait, breaks: 'a wait that a handler began and did not await is refused' },
  { id: 'wait-7', file: caughtUp, find: 'if (signal?.aborted === true) return aborted()', replace: '', tests: wait, breaks: 'a signal that was aborted before is not heard' },
  { id: 'wait-8', file: caughtUp, find: 'resolve(here(true))', replace: 'resolve(here(false))', tests: wait, breaks: 'a stale answer does not say so' },
  { id: 'wait-9', file: caughtUp, find: 'else if (phase === \'stopped\')', replace: 'else if (false)', tests: wait, breaks: 'waiting for a projection that was stopped never ends' },
  { id: 'wait-10', file: caughtUp, find: '(error: unknown) => finish(() => reject(error))', replace: '() => {}', tests: wait, breaks: 'a look that fails leaves the wait hanging' },

  // status.ts
  { id: 'status-1', file: keeper, find: 'if (keys.every((key) => equal(change[key], status[key]))) return', replace: '', tests: status, breaks: 'a status that says the same is another object' },
  { id: 'status-2', file: keeper, find: 'delete next[key]', replace: '{}', tests: status, breaks: 'a reason that is gone stays as undefined' },
  { id: 'status-3', file: keeper, find: 'const head = Math.max(given.head ?? status.head, position)', replace: 'const head = given.head ?? status.head', tests: status, breaks: 'behind is negative' },
  { id: 'status-4', file: keeper, find: '{ ...passed, phase: \'waiting-for-leader\'', replace: '{ phase: \'waiting-for-leader\'', tests: status, breaks: 'one look that failed stays the last error of a follower' },
  { id: 'status-5', file: keeper, find: '{ ...passed, phase: \'stalled\'', replace: '{ phase: \'stalled\'', tests: status, breaks: 'one look that failed stays the last error of a follower behind a stalled leader' },
  { id: 'status-6', file: keeper, find: 'status.leader ? {} : { lastError: undefined }', replace: '{ lastError: undefined }', tests: status, breaks: 'a look clears the error that this run reported' },
  { id: 'status-7', file: keeper, find: 'position !== moved.position', replace: 'position > moved.position', tests: status, breaks: 'a rebuild seems to stand still from its first event' },
  { id: 'status-8', file: keeper, find: 'still >= stallTimeout && status.phase !== \'retrying\'', replace: 'still >= stallTimeout', tests: status, breaks: 'a failing event hides behind stalled' },
  { id: 'status-9', file: keeper, find: 'behind && still >= stallTimeout', replace: 'still >= stallTimeout', tests: status, breaks: 'a quiet log stalls' },
  { id: 'status-10', file: keeper, find: 'if (late) return set(', replace: 'if (late) set(', tests: status, breaks: 'a look that began earlier takes the position back' },
  { id: 'status-11', file: keeper, find: 'if (status.phase === \'stopped\' || status.phase === \'faulted\') return', replace: '', tests: status, breaks: 'a look hides that the run faulted' },
  { id: 'status-12', file: keeper, find: 'status.phase === \'retrying\' || status.phase === \'stalled\' ? {} : running({ head })', replace: 'running({ head })', tests: status, breaks: 'a page that was read hides that its event is being retried' },
  { id: 'status-13', file: keeper, find: 'getServerSnapshot: () => unknown', replace: 'getServerSnapshot: () => ({ ...unknown })', tests: ['test/unit/log/server.test.ts'], breaks: 'React renders for ever' },
  { id: 'status-14', file: keeper, find: 'deadLetters: report.letters ?? status.deadLetters', replace: 'deadLetters: report.letters ?? 0', tests: status, breaks: 'dead letters of a plain projector disappear from the status' },
  { id: 'status-15', file: keeper, find: 'position < measured.position || ', replace: '', tests: status, breaks: 'the rate of a rebuild is negative' },

  // live-projection.ts
  { id: 'fold-1', file: projection, find: '          if (mine !== latest) return undefined\n', replace: '', tests: contract, breaks: 'what comes late is folded twice' },
  { id: 'fold-2', file: projection, find: 'end: () => closedError(internalsOf(store))', replace: 'end: () => undefined', tests: contract, breaks: 'a live projection of a closed store stays ready' },
  { id: 'fold-3', file: projection, find: '        unsubscribe()\n', replace: '', tests: folds, breaks: 'a live projection at rest listens to the store' },
  { id: 'fold-4', file: projection, find: '        stopLooking()\n', replace: '', tests: leaks, breaks: 'a live projection at rest reads every 5 s' },
  { id: 'fold-5', file: projection, find: '        progress()\n        for', replace: '        for', tests: folds, breaks: 'a long log is never folded to its end' },
  { id: 'fold-6', file: projection, find: 'position = Math.max(position, page.scannedTo)', replace: 'position = page.scannedTo', tests: contract, equivalent: 'a page is scanned at least as far as its last event' },
  { id: 'fold-7', file: projection, find: 'if (head > position) changed()', replace: 'changed()', tests: folds, breaks: 'each head that was folded already is read again' },

  // Sets of listeners
  { id: 'rounds-1', file: 'src/platform/listeners.ts', find: 'if (all.has(listener)) ', replace: '', tests: rounds, breaks: 'a listener is called after it was removed' },
  { id: 'rounds-2', file: 'src/platform/listeners.ts', find: 'of [...all]', replace: 'of all', tests: rounds, breaks: 'a listener that is added in a round is called in it' },
  { id: 'rounds-3', file: 'src/platform/listeners.ts', find: 'tell(() => listener(...given))', replace: 'listener(...given)', tests: rounds, breaks: 'a listener that throws stops the others' },
  { id: 'rounds-4', file: 'src/platform/listeners.ts', find: 'const own = (...given: A) => listener(...given)', replace: 'const own = listener', tests: rounds, breaks: 'the same function twice is one listener' },
  { id: 'rounds-5', file: 'src/platform/lookout.ts', find: '    cancel()\n', replace: '', tests: look, breaks: 'a lookout outlives its end' },
  { id: 'rounds-6', file: 'src/platform/lookout.ts', find: '    unsubscribe?.()\n', replace: '', tests: look, breaks: 'a lookout that ended listens to the page' },
  { id: 'rounds-7', file: 'src/platform/lookout.ts', find: '      arm()\n      look()', replace: '      look()', tests: look, breaks: 'it looks once and never again' },
]
