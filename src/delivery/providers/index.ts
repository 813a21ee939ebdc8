import type { Provider } from '../channel.ts'
import { inbox } from './inbox.ts'
import { log } from './log.ts'
import { smtp } from './smtp.ts'

/** Every provider there is. To add one: its file, and its line here. */
export const providers: readonly Provider[] = [inbox, log, smtp]
