/**
 * Who is in on this node: people with an open socket or a stream. They were let in when they came; who is disabled
 * meanwhile has to leave, also if nothing is ever sent to him.
 */

/** Ends one socket or stream. */
type Leave = () => void

export type Guests = {
  /** Somebody comes in; `leave` is called at most once, when he may not stay. Gives how he goes by himself. */
  enter(user: string, leave: Leave): () => void
  /** Those who are in, each once. */
  users(): Iterable<string>
  /** Ends all that this person has open here. */
  showOut(user: string): void
}

export function openGuests(): Guests {
  const open = new Map<string, Set<Leave>>()
  return {
    enter(user, leave) {
      const his = open.get(user) ?? new Set()
      open.set(user, his.add(leave))
      return () => {
        his.delete(leave)
        if (his.size === 0 && open.get(user) === his) open.delete(user)
      }
    },
    users: () => open.keys(),
    showOut(user) {
      const his = open.get(user) ?? []
      open.delete(user)
      for (const leave of his) leave()
    },
  }
}
