/** Whether a content is one that a configured channel carries. */
import type { OpenChannel } from '../context.ts'
import { badInput } from '../errors.ts'
import { readContent } from './content.ts'

/** Reads a content for this channel, as its kind wants it and its provider takes it; refuses at `path` or below. */
export function readContentFor(channel: OpenChannel, value: unknown, path: string): object {
  const content = readContent(channel.kind, value, path)
  checkForm(channel, content, path)
  checkSize(channel, content, path)
  return content
}

/** Some SMS providers send nothing but their own templates, others nothing but free text. */
function checkForm({ id, provider, settings }: OpenChannel, content: object, path: string): void {
  const form = provider.takes?.(settings)
  if (form === undefined || form in content) return
  throw badInput(`${path}.${form}`, `渠道 ${id} 需要此项`, `is what channel ${id} sends, so it is required there`)
}

/** A group robot takes far less than a mail does, and each another amount. */
function checkSize({ id, provider, settings }: OpenChannel, content: object, path: string): void {
  const size = provider.measure?.(content, settings)
  if (size === undefined || size.bytes <= size.limit) return
  throw badInput(
    `${path}.content`,
    `连同标题等共 ${size.bytes} 字节，超过渠道 ${id} 的上限 ${size.limit}`,
    `makes ${size.bytes} bytes with its title and the rest, and channel ${id} takes ${size.limit}`,
  )
}
