import type { Provider } from '../channel.ts'
import { aliyun } from './aliyun.ts'
import { dingtalk } from './dingtalk.ts'
import { feishu } from './feishu.ts'
import { failover } from './failover.ts'
import { http } from './http.ts'
import { inbox } from './inbox.ts'
import { log } from './log.ts'
import { smpp } from './smpp.ts'
import { smtp } from './smtp.ts'
import { tencent } from './tencent.ts'
import { webhook } from './webhook.ts'
import { wecom } from './wecom.ts'

/** Every provider there is but for the one made of others. To add one: its file, and its line here. */
const single: readonly Provider[] = [inbox, log, smtp, aliyun, tencent, smpp, http, dingtalk, wecom, feishu, webhook]

export const providers: readonly Provider[] = [...single, failover(single)]
