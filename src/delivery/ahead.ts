/**
 * Reading ahead in a large message: while one chunk is put, the next is read, so that neither the database nor this process
 * waits for the other. What was read is a guess and binds nobody: whoever goes on with the message goes by the cursor on its
 * row, and reads anew where that stands elsewhere, where the reading failed, and where the roster may have changed since.
 */
import type { Store } from '../db/client.ts'
import { mostAtOnce, nextChunk, type Audience, type Chunk } from './chunk.ts'

/** Somebody who was disabled a little longer ago gets nothing any more. */
const FRESH_MS = 500
/** Large messages take turns. What was read of more than these is dropped, the oldest first. */
const MESSAGES_AT_MOST = 4

/** A message and where it stands. */
type Standing = Audience & { id: string; cursor: string }
type Guess = { cursor: string; readAt: number; chunk: Promise<Chunk | undefined> }

const guesses = new WeakMap<Store, Map<string, Guess>>()

/** The chunk after the message's cursor: the one that was read ahead, if it still holds. */
export async function readNext(store: Store, message: Standing): Promise<Chunk> {
  const guess = guesses.get(store)?.get(message.id)
  guesses.get(store)?.delete(message.id)
  const holds = guess?.cursor === message.cursor && performance.now() - guess.readAt < FRESH_MS
  return (holds ? await guess.chunk : undefined) ?? read(store, message)
}

/** Begins to read the chunk after this cursor, which is where the message will stand. Never fails. */
export function readAhead(store: Store, message: Standing): void {
  const ofStore = guesses.get(store) ?? new Map<string, Guess>()
  guesses.set(store, ofStore)
  const chunk = read(store, message).catch(() => undefined)
  ofStore.delete(message.id)
  ofStore.set(message.id, { cursor: message.cursor, readAt: performance.now(), chunk })
  const [oldest = ''] = ofStore.keys()
  if (ofStore.size > MESSAGES_AT_MOST) ofStore.delete(oldest)
}

function read(store: Store, message: Standing): Promise<Chunk> {
  return nextChunk(store, message, message.cursor, mostAtOnce(message))
}
