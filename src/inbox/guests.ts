/**
 * Who is in on this node: people with an open socket or a stream. They were let in when they came; who is disabled
 * meanwhile, or whose token is taken back, has to leave, also if nothing is ever sent to him.
 */
import type { Person } from '../context.ts'

/** One socket or stream of a person. */
type Guest = { person: Person; leave: () => void }

export type Guests = {
  /** Somebody comes in; `leave` is called at most once, when he may not stay. Gives how he goes by himself. */
  enter(person: Person, leave: () => void): () => void
  /** Those who are in, each once. */
  users(): Iterable<string>
  /** Asks again of all that this person has open here, and ends what may not stay. */
  ask(user: string): Promise<void>
}

export function openGuests(mayStay: (person: Person) => Promise<boolean>): Guests {
  const open = new Map<string, Set<Guest>>()
  return {
    enter(person, leave) {
      const his = open.get(person.code) ?? new Set()
      const guest = { person, leave }
      open.set(person.code, his.add(guest))
      return () => {
        his.delete(guest)
        if (his.size === 0 && open.get(person.code) === his) open.delete(person.code)
      }
    },
    users: () => open.keys(),
    async ask(user) {
      for (const { person, leave } of [...(open.get(user) ?? [])]) if (!(await mayStay(person))) leave()
    },
  }
}
