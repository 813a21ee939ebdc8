import type { Provider } from '../channel.ts'
import { aliyun } from './aliyun.ts'
import { http } from './http.ts'
import { inbox } from './inbox.ts'
import { log } from './log.ts'
import { smtp } from './smtp.ts'
import { tencent } from './tencent.ts'

/** Every provider there is. To add one: its file, and its line here. */
export const providers: readonly Provider[] = [inbox, log, smtp, aliyun, tencent, http]
