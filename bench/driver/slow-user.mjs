// A slow processor, and somebody who types meanwhile.

/** Between two keys. */
const pause = 40

export async function slowUser(page) {
  const session = await page.context().newCDPSession(page)
  return {
    /** Runs `work` so many times slower, with typing; at 1 it just runs it. */
    async around(throttle, work) {
      if (throttle === 1) return work()
      await session.send('Emulation.setCPUThrottlingRate', { rate: throttle })
      const keys = setInterval(() => {
        for (const type of ['keyDown', 'keyUp']) session.send('Input.dispatchKeyEvent', { type, key: 'a', code: 'KeyA', text: type === 'keyDown' ? 'a' : '' }).catch(() => {})
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
