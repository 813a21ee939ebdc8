/**
 * The doorbells of those who follow an inbox on this node. Thousands ring within one hint, each in memory that is no longer
 * near: so a bell is one object with its methods elsewhere, and not the closures that it would be anywhere else.
 */

/** Rings when the user's inbox may have moved. Rings that nobody waited for are remembered as one. */
export class Bell {
  /** The rev its subscriber has got to: the beat rings it when the inbox stands elsewhere. */
  reached = 0
  /** Set by `close` alone. */
  closed = false
  /** Another one of the same user. */
  next: Bell | undefined
  readonly user: string
  #bells: Bells
  #hasRung = false
  /** Told of every ring, so that none has to be remembered. */
  #listener: Listener | undefined
  #wake: (() => void) | undefined

  constructor(bells: Bells, user: string) {
    this.#bells = bells
    this.user = user
    this.next = bells.get(user)
    bells.set(user, this)
  }

  /** Waits for a ring, for the closing, or for so long. */
  async rung(milliseconds?: number): Promise<void> {
    if (!this.#hasRung && !this.closed) {
      await new Promise<void>((resolve) => {
        const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#hasRung = false
  }

  /** Instead of waiting: tells of every ring and of the closing, and at once if it has rung. */
  tell(listener: Listener): void {
    this.#listener = listener
    if (this.#hasRung || this.closed) listener.rang()
    this.#hasRung = false
  }

  ring(): void {
    if (this.#listener !== undefined) return this.#listener.rang()
    this.#hasRung = true
    this.#wake?.()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    takeDown(this.#bells, this)
    this.#listener?.rang()
    this.#wake?.()
  }
}

export type Listener = { rang(): void }

/** Those of each user, the last one first. */
export type Bells = Map<string, Bell>

function takeDown(bells: Bells, bell: Bell): void {
  const first = bells.get(bell.user)
  if (first === bell) {
    if (bell.next === undefined) bells.delete(bell.user)
    else bells.set(bell.user, bell.next)
    return
  }
  for (let before = first; before !== undefined; before = before.next) {
    if (before.next === bell) before.next = bell.next
  }
}
