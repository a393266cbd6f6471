// A slow processor, and a user who types meanwhile.

/** Between two keys. */
const pause = 40

/** @param {(() => Promise<import('@playwright/test').CDPSession>) | undefined} devtools without it nothing is slowed down */
export async function slowUser(devtools) {
  const session = await devtools?.()
  return {
    possible: session !== undefined,
    /** Runs `work` `throttle` times slower, with typing; at 1 it just runs it. */
    async around(throttle, work) {
      if (throttle === 1) return work()
      await session.send('Emulation.setCPUThrottlingRate', { rate: throttle })
      const keys = setInterval(() => {
        for (const type of ['keyDown', 'keyUp'])
          session
            .send('Input.dispatchKeyEvent', { type, key: 'a', code: 'KeyA', text: type === 'keyDown' ? 'a' : '' })
            .catch(() => {})
      }, pause)
      try {
        return await work()
      } finally {
        clearInterval(keys)
        await session.send('Emulation.setCPUThrottlingRate', { rate: 1 })
      }
    },
  }
}
