const { VersionConflictError } = require('tidemark')

console.log(new VersionConflictError({ stream: 'task-1', expected: 'no-stream', actual: 1 }).message)
