/** Waits a while, or until rung; a ring that comes while nobody waits cuts the next wait short. */
export type Bell = { ring(): void; wait(milliseconds: number): Promise<void> }

export function makeBell(): Bell {
  let isRung = false
  let wake = () => {}
  return {
    ring() {
      isRung = true
      wake()
    },
    async wait(milliseconds) {
      if (!isRung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, milliseconds)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      isRung = false
    },
  }
}
