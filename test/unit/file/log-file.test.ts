/** The file of a log: what it keeps, what a torn write leaves, and what damage is. */
import { copyFile, readdir, readFile, rename, stat, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { LogFileDamagedError, LogFileInUseError, openFileLogStore, type LoggedCommit } from 'tidemark/file'
import { ClosedError, InvalidArgumentError, StorageLostError, UnsupportedFormatError } from 'tidemark'
import { describe, expect, test } from 'vitest'
import { headBytes, seal } from '../../../src/file/frames.js'
import { allOf, inMemory, newFolder, newPath, push } from './support.js'
import { addCommit } from './support-commit.js'

const refusal = { refused: { code: 'no', message: 'No.' } }

/** A log of four commits and two verdicts; where each of its frames ends. */
async function smallLog(path: string): Promise<{ commits: LoggedCommit[]; ends: number[] }> {
  const store = await openFileLogStore({ path })
  const ends = [(await stat(path)).size]
  const commits: LoggedCommit[] = []
  for (const drafts of [
    [{ id: 'a1', stream: 's' }],
    [
      { id: 'b1', stream: 's', data: 'ä\u0000\\n€𝄞' },
      { id: 'b2', stream: 't' },
    ],
    [{ id: 'c1', stream: 't' }],
  ]) {
    commits.push(await push(store, drafts, 'änne'))
    ends.push((await stat(path)).size)
  }
  await store.decide(async (log) => {
    await log.keep('anna', ['x1', 'x2'], refusal)
    commits.push(await addCommit(log, [{ id: 'd1', stream: 's' }]))
    await log.keep('bert', ['x1'], { blocked: 'x0' })
  })
  ends.push((await stat(path)).size)
  await store.close()
  return { commits, ends }
}

test('what was decided is there when the file is opened again, under the same log and a new epoch', async () => {
  const path = await newPath()
  const first = await openFileLogStore({ path, log: 'log-1' })
  const { epoch } = await first.identity()
  await first.close()
  const { commits } = await smallLog(path)
  const store = await openFileLogStore({ path })
  expect(await store.identity()).toEqual({ log: 'log-1', epoch: expect.not.stringMatching(epoch) as string })
  expect(store.opened).toEqual({ events: 5, commits: 4 })
  expect(await store.head()).toBe(5)
  expect(await allOf(store)).toEqual(commits)
  for (const [at, chain] of [
    [0, '0'.repeat(32)],
    [1, commits[0]?.chain],
    [2, undefined],
    [3, commits[1]?.chain],
  ] as const)
    expect(await store.chainAt(at)).toBe(chain)
  expect([await store.chainAt(5), await store.chainAt(6)]).toEqual([commits[3]?.chain, undefined])
  await store.decide(async (log) => {
    expect([...(await log.find(['b2', 'zz', 'a1']))]).toEqual([
      ['b2', commits[1]?.events[1]],
      ['a1', commits[0]?.events[0]],
    ])
    expect(await log.last(['s', 't', 'u'])).toEqual(
      new Map([
        ['s', commits[3]?.events[0]],
        ['t', commits[2]?.events[0]],
      ]),
    )
    expect([...(await log.verdicts('anna', ['x1', 'x2', 'x3']))]).toEqual([
      ['x1', refusal],
      ['x2', refusal],
    ])
    expect([...(await log.verdicts('bert', ['x1', 'x2']))]).toEqual([['x1', { blocked: 'x0' }]])
  })
  await store.close()
})

test('cut at every byte: what was durable there is kept whole, the rest is cut, and the log goes on', async () => {
  const path = await newPath(inMemory)
  const { commits, ends } = await smallLog(path)
  const whole = await readFile(path)
  const copy = `${path}.copy`
  for (let size = 0; size < whole.length; size += 1) {
    await writeFile(copy, whole.subarray(0, size))
    if (size < (ends[0] ?? 0)) {
      await expect(openFileLogStore({ path: copy })).rejects.toMatchObject({ code: 'log-file-damaged', offset: 0 })
      expect((await stat(copy)).size).toBe(size)
      continue
    }
    const frames = ends.filter((end) => end <= size).length
    const end = ends[frames - 1] ?? 0
    const store = await openFileLogStore({ path: copy })
    expect(store.opened.cut, `${size}`).toEqual(size === end ? undefined : { offset: end, bytes: size - end })
    expect(await allOf(store)).toEqual(commits.slice(0, frames - 1))
    expect(await store.decide((log) => log.verdicts('anna', ['x1']))).toEqual(new Map())
    await store.close()
    // What is written behind the cut is found again.
    if (size % 5 !== 0 && !ends.includes(size)) continue
    const writing = await openFileLogStore({ path: copy })
    const added = await push(writing, [{ id: 'e1', stream: 's' }])
    await writing.close()
    const again = await openFileLogStore({ path: copy })
    expect(again.opened.cut).toBeUndefined()
    expect(await allOf(again)).toEqual([...commits.slice(0, frames - 1), added])
    await again.close()
  }
  expect(await readdir(dirname(path))).toEqual(['shop.log', 'shop.log.copy'])
})

test('a changed byte: in the middle it is an error that names the frame, and at the end what is cut is kept', async () => {
  const path = await newPath(inMemory)
  const { commits, ends } = await smallLog(path)
  const whole = await readFile(path)
  const copy = `${path}.copy`
  for (let at = 0; at < whole.length; at += 1) {
    const frame = ends.findIndex((end) => at < end)
    const offset = frame === 0 ? 0 : (ends[frame - 1] ?? 0)
    // Every byte of a head, and every fourth of a text.
    if (at - offset >= headBytes && at % 4 !== 0) continue
    const changed = Buffer.from(whole)
    changed[at] = (changed[at] ?? 0) ^ 1
    await writeFile(copy, changed)
    if (frame < ends.length - 1) {
      const error: unknown = await openFileLogStore({ path: copy }).catch((error: unknown) => error)
      expect(error).toBeInstanceOf(LogFileDamagedError)
      expect(error).toMatchObject({ code: 'log-file-damaged', offset, path: copy })
      expect(await readFile(copy)).toEqual(changed)
    } else {
      const store = await openFileLogStore({ path: copy })
      const keptAt = `${copy}.cut-at-${offset}`
      expect(store.opened.cut).toEqual({ offset, bytes: whole.length - offset, keptAt })
      expect(await readFile(keptAt)).toEqual(changed.subarray(offset))
      expect(await allOf(store)).toEqual(commits.slice(0, frame - 1))
      await store.close()
    }
  }
})

test('zeros at the end, as a file system leaves them after a power cut, are cut without a copy', async () => {
  const path = await newPath()
  const { commits, ends } = await smallLog(path)
  await truncate(path, (await stat(path)).size + 5000)
  const store = await openFileLogStore({ path })
  expect(store.opened.cut).toEqual({ offset: ends.at(-1), bytes: 5000 })
  expect(await allOf(store)).toEqual(commits)
  await store.close()
})

test('data that looks like a frame does not make a torn tail an error', async () => {
  const path = await newPath()
  const store = await openFileLogStore({ path })
  await push(store, [{ id: 'a', stream: 's' }])
  const begin = (await stat(path)).size
  await push(store, [{ id: 'b', stream: 's', data: (await readFile(path)).toString('latin1') }])
  await store.close()
  // A frame of another place of the file, whole, within a torn one.
  const bytes = await readFile(path)
  const copied = bytes.subarray(0, begin)
  await writeFile(path, Buffer.concat([bytes.subarray(0, begin + 40), copied]))
  const again = await openFileLogStore({ path })
  expect(again.opened).toMatchObject({ events: 1, cut: { offset: begin } })
  await again.close()
})

test('a file that is no log, or of a newer version, is refused and left alone', async () => {
  const path = await newPath()
  for (const text of ['', 'hello', 'x'.repeat(5000)]) {
    await writeFile(path, text)
    await expect(openFileLogStore({ path })).rejects.toMatchObject({ code: 'log-file-damaged', offset: 0 })
    expect(await readFile(path, 'utf8')).toBe(text)
  }
  for (const text of ['H{"format":2,"log":"x","time":1}\n', 'H{"format":1,"log":"x","time":1}\nQ{}\n']) {
    const frame = Buffer.concat([Buffer.alloc(headBytes), Buffer.from(text)])
    seal(frame, 0)
    await writeFile(path, frame)
    await expect(openFileLogStore({ path })).rejects.toBeInstanceOf(UnsupportedFormatError)
    expect(await readFile(path)).toEqual(frame)
  }
  await expect(openFileLogStore({ path: join(await newFolder(), 'no.log'), create: false })).rejects.toBeInstanceOf(
    InvalidArgumentError,
  )
})

test('bad options, and a folder that is missing, are errors with their reasons, and nothing is made', async () => {
  const folder = await newFolder()
  const path = join(folder, 'shop.log')
  for (const options of [{}, { path: '' }, { path: 1 }, { path, file: path }, { path, log: 'a/b' }, { path, log: '' }])
    await expect(openFileLogStore(options as never)).rejects.toBeInstanceOf(InvalidArgumentError)
  const missing = openFileLogStore({ path: join(folder, 'missing', 'shop.log') })
  await expect(missing).rejects.toMatchObject({ code: 'storage-failed', cause: { code: 'ENOENT' } })
  expect(await readdir(folder)).toEqual([])
})

describe('decisions', () => {
  test('exclude each other, share a flush, and each sees what those before it added', async () => {
    const path = await newPath()
    const store = await openFileLogStore({ path })
    const heads: number[] = []
    store.subscribe((head) => heads.push(head))
    const decided = Array.from({ length: 50 }, (_, index) =>
      store.decide(async (log) => {
        const last = await log.last(['s'])
        const known = await log.find([`e${index - 1}`])
        await log.keep('anna', [`v${index}`], { blocked: `${index}` })
        await addCommit(log, [{ id: `e${index}`, stream: 's' }])
        const seen: number[] = []
        for await (const { position } of log.after(0)) seen.push(position)
        const verdict = await log.verdicts('anna', [`v${index - 1}`])
        return { version: last.get('s')?.version ?? 0, known: known.size, seen, verdict: verdict.size }
      }),
    )
    const results = await Promise.all(decided)
    expect(results).toEqual(
      results.map((_, index) => ({
        version: index,
        known: Math.min(index, 1),
        seen: Array.from({ length: index + 1 }, (_, at) => at + 1),
        verdict: Math.min(index, 1),
      })),
    )
    expect(heads.at(-1)).toBe(50)
    expect(heads.length).toBeLessThan(50)
    await store.close()
  })

  test('what a decision has seen is stored when it resolves, also if it adds nothing', async () => {
    const store = await openFileLogStore({ path: await newPath() })
    const pushed = push(store, [{ id: 'a', stream: 's' }])
    const seen = await store.decide((log) => log.find(['a']))
    expect([seen.size, await store.head()]).toEqual([1, 1])
    await pushed
    await store.close()
  })

  test('one that fails adds nothing, and the next one works', async () => {
    const store = await openFileLogStore({ path: await newPath() })
    const failed = store.decide(async (log) => {
      await addCommit(log, [{ id: 'a', stream: 's' }])
      await log.keep('anna', ['x'], { blocked: 'y' })
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    expect(await store.head()).toBe(0)
    const known = await store.decide(async (log) => [
      (await log.find(['a'])).size,
      (await log.last(['s'])).size,
      (await log.verdicts('anna', ['x'])).size,
      log.head,
    ])
    expect(known).toEqual([0, 0, 0, 0])
    await store.close()
  })

  test('a position, version, id or line that does not fit is refused, and the log after the decision too', async () => {
    const store = await openFileLogStore({ path: await newPath() })
    await push(store, [{ id: 'a', stream: 's' }])
    const event = { position: 2, id: 'b', stream: 's', type: 'Added', version: 2, line: '{}' }
    const chain = '1'.repeat(32)
    const bad = [
      [{ ...event, position: 3 }],
      [{ ...event, version: 1 }],
      [{ ...event, version: 3 }],
      [{ ...event, id: 'a' }],
      [event, { ...event, position: 3, version: 3 }],
      [{ ...event, line: '{\n}' }],
      [{ ...event, line: '"\ud800"' }],
      [],
    ]
    for (const events of bad) {
      const refused = store.decide((log) => log.add({ author: '', events, chain }))
      await expect(refused).rejects.toBeInstanceOf(InvalidArgumentError)
    }
    const late = await store.decide(async (log) => ({ log }))
    await expect(late.log.add({ author: '', events: [event], chain })).rejects.toBeInstanceOf(InvalidArgumentError)
    expect(await store.head()).toBe(1)
    await store.close()
  })

  test('after close() calls are refused, and what was decided before it is stored', async () => {
    const path = await newPath()
    const store = await openFileLogStore({ path })
    const decided = push(store, [{ id: 'a', stream: 's' }])
    await store.close()
    await decided
    await expect(store.head()).rejects.toBeInstanceOf(ClosedError)
    await expect(push(store, [{ id: 'b', stream: 's' }])).rejects.toBeInstanceOf(ClosedError)
    const again = await openFileLogStore({ path })
    expect(await again.head()).toBe(1)
    await again.close()
  })
})

describe('one process per file', () => {
  test('a second opening is refused by any name of the file, and works once the first is closed', async () => {
    const path = await newPath()
    const store = await openFileLogStore({ path })
    const error: unknown = await openFileLogStore({ path: join(dirname(path), '.', 'shop.log') }).catch(
      (e: unknown) => e,
    )
    expect(error).toBeInstanceOf(LogFileInUseError)
    expect(error).toMatchObject({ code: 'log-file-in-use', pid: process.pid, outcome: 'not-written' })
    await store.close()
    expect(await readdir(dirname(path))).toEqual(['shop.log'])
    await (await openFileLogStore({ path })).close()
  })

  test.each([
    [
      'replaced',
      async (path: string) => {
        await copyFile(path, `${path}.backup`)
        await rename(`${path}.backup`, path)
      },
    ],
    ['cut', (path: string) => truncate(path, 200)],
    ['deleted', (path: string) => rename(path, `${path}.away`)],
  ])('a file that was %s under the store is not written, and nothing is acknowledged', async (_how, happens) => {
    const path = await newPath()
    const store = await openFileLogStore({ path })
    await push(store, [{ id: 'a', stream: 's' }])
    await happens(path)
    await expect(push(store, [{ id: 'b', stream: 't' }])).rejects.toBeInstanceOf(StorageLostError)
    await expect(store.head()).rejects.toBeInstanceOf(StorageLostError)
    await store.close()
  })
})

test('verdicts older than 90 days are dropped when they are a quarter of the file', async () => {
  const path = await newPath()
  const day = 24 * 60 * 60 * 1000
  let store = await openFileLogStore({ path, now: () => 0 })
  const commit = await push(store, [{ id: 'a', stream: 's' }])
  const message = 'x'.repeat(1000)
  await store.decide(async (log) => {
    for (let n = 0; n < 1100; n += 1) await log.keep('anna', [`old${n}`], { refused: { code: 'no', message } })
  })
  await store.close()
  store = await openFileLogStore({ path, now: () => day })
  await store.decide((log) => log.keep('anna', ['new'], refusal))
  await store.close()
  const { size } = await stat(path)
  const known = async (now: number) => {
    store = await openFileLogStore({ path, now: () => now })
    const found = await store.decide((log) => log.verdicts('anna', ['old0', 'old1099', 'new']))
    expect(await allOf(store)).toEqual([commit])
    await store.close()
    return [...found.keys()]
  }
  expect(await known(90 * day)).toEqual(['old0', 'old1099', 'new'])
  expect((await stat(path)).size).toBe(size)
  expect(await known(90 * day + 1)).toEqual(['new'])
  expect((await stat(path)).size).toBeLessThan(2000)
})
