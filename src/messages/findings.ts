/** What can be found about a person and a message on one channel, and what each finding says in both languages. */

/** What a sentence may tell of. Texts, empty where there is nothing. */
export type Said = { user: string; channel: string; at: string; words: string; attempts: number; reason: string }

const words = ({ words }: Said) => (words === '' ? '' : `: ${words}`)

/** One row a finding. */
export const sentences = {
  DELIVERED: {
    zh: ({ user, channel, at }) => `${user} 已收到：渠道 ${channel} 的回执于 ${at} 确认送达`,
    en: ({ user, channel, at }) => `${user} got it: the provider's receipt on ${channel} says so as of ${at}`,
  },
  SENT: {
    zh: ({ channel, at }) => `渠道 ${channel} 的服务商已于 ${at} 接收，尚无送达回执`,
    en: ({ channel, at }) => `the provider of ${channel} took it at ${at}; no receipt says yet whether it arrived`,
  },
  UNDELIVERED: {
    zh: (said) => `渠道 ${said.channel} 的服务商已接收，但回执称未送达${words(said)}`,
    en: (said) => `the provider of ${said.channel} took it, and its receipt says that it did not arrive${words(said)}`,
  },
  WAITING: {
    zh: (said) => `在渠道 ${said.channel} 等待发送（已尝试 ${said.attempts} 次，下次不早于 ${said.at}）${words(said)}`,
    en: (said) =>
      `it waits on ${said.channel} (attempts so far: ${said.attempts}; next not before ${said.at})${words(said)}`,
  },
  SENDING: {
    zh: ({ channel }) => `渠道 ${channel} 正在发送`,
    en: ({ channel }) => `it is being sent on ${channel} right now`,
  },
  REFUSED: {
    zh: (said) => `渠道 ${said.channel} 的服务商拒绝（${said.reason}）${words(said)}`,
    en: (said) => `the provider of ${said.channel} refused it (${said.reason})${words(said)}`,
  },
  INVALID_ACCOUNT: {
    zh: ({ user, channel }) => `账号 ${user} 在渠道 ${channel} 上无效，不对应任何人或地址`,
    en: ({ user, channel }) => `the account ${user} means nobody and no address on ${channel}`,
  },
  UNFIT: {
    zh: (said) => `渠道 ${said.channel} 上写给 ${said.user} 的内容不合要求，未发送${words(said)}`,
    en: (said) => `what ${said.channel} would have said to ${said.user} does not fit, and was not sent${words(said)}`,
  },
  NO_CHANNEL: {
    zh: (said) => `渠道 ${said.channel} 未配置，或已改为另一种渠道${words(said)}`,
    en: (said) => `${said.channel} is not configured, or carries something else now${words(said)}`,
  },
  GAVE_UP: {
    zh: (said) => `渠道 ${said.channel} 尝试 ${said.attempts} 次均未成功，已放弃${words(said)}`,
    en: (said) => `given up on ${said.channel} after ${said.attempts} attempts${words(said)}`,
  },
  TOO_OLD: {
    zh: (said) => `未能在有效期内从渠道 ${said.channel} 发出${words(said)}`,
    en: (said) => `it could not go out on ${said.channel} before it was too old${words(said)}`,
  },
  NO_ADDRESS: {
    zh: ({ user, channel }) => `${user} 没有渠道 ${channel} 所需的手机号或邮箱`,
    en: ({ user, channel }) => `${user} has no address for ${channel} in the directory`,
  },
  OPTED_OUT: {
    zh: ({ user, channel }) => `${user} 已关闭渠道 ${channel} 的此类消息`,
    en: ({ user, channel }) => `${user} has switched messages of this type off on ${channel}`,
  },
  QUIET_HOURS: {
    zh: ({ user, channel, at }) => `${user} 处于免打扰时段，渠道 ${channel} 将在 ${at} 发送`,
    en: ({ user, channel, at }) => `it is a quiet hour for ${user}: it goes out on ${channel} at ${at}`,
  },
  OVER_IN_QUIET_HOURS: {
    zh: ({ user, channel }) => `消息在 ${user} 的免打扰时段结束前到期，未从渠道 ${channel} 发出`,
    en: ({ user, channel }) =>
      `its time would be over before the quiet hours of ${user} are, so it did not go out on ${channel}`,
  },
  SKIPPED: {
    zh: ({ user, channel, reason }) => `渠道 ${channel} 未向 ${user} 发送（${reason}）`,
    en: ({ user, channel, reason }) => `${user} was left out on ${channel} (${reason})`,
  },
  CANCELLED: {
    zh: ({ channel, at }) => `消息在发出前被撤回（渠道 ${channel}，${at}）`,
    en: ({ channel, at }) => `the message was recalled before it went out on ${channel} (${at})`,
  },
  MAY_HAVE_GONE_OUT: {
    zh: ({ channel }) => `消息被撤回，但渠道 ${channel} 此前的一次发送可能已发出`,
    en: ({ channel }) => `the message was recalled, but an earlier attempt on ${channel} may have gone out`,
  },
  READ: {
    zh: ({ user, at }) => `${user} 已于 ${at} 阅读`,
    en: ({ user, at }) => `${user} read it at ${at}`,
  },
  IN_INBOX: {
    zh: ({ user, at }) => `自 ${at} 起在 ${user} 的收件箱中，未读`,
    en: ({ user, at }) => `it has been in the inbox of ${user} since ${at}, unread`,
  },
  DELETED_BY_USER: {
    zh: ({ user, at }) => `${user} 已于 ${at} 自行删除`,
    en: ({ user, at }) => `${user} deleted it at ${at}`,
  },
  RECALLED: {
    zh: ({ user, at }) => `已于 ${at} 从 ${user} 的收件箱撤回`,
    en: ({ user, at }) => `it was recalled from the inbox of ${user} at ${at}`,
  },
  EXPIRED: {
    zh: ({ user, at }) => `已于 ${at} 到期，从 ${user} 的收件箱移除`,
    en: ({ user, at }) => `its time was over at ${at}, and it left the inbox of ${user}`,
  },
  EXPIRED_BEFORE: {
    zh: ({ user, at }) => `在 ${user} 收到之前已到期（${at}）`,
    en: ({ user, at }) => `its time was over (${at}) before ${user} got it`,
  },
  WAITS_FOR_LOOK: {
    zh: ({ user }) => `广播消息：${user} 下次打开收件箱时出现`,
    en: ({ user }) => `a broadcast: it appears when ${user} next looks at the inbox`,
  },
  BROADCAST_RECALLED: {
    zh: ({ user }) => `广播在 ${user} 查看之前已撤回`,
    en: ({ user }) => `the broadcast was recalled before ${user} looked`,
  },
  JOINED_LATER: {
    zh: ({ user }) => `发送时目录中尚无 ${user}`,
    en: ({ user }) => `${user} was not yet in the directory when it was sent`,
  },
  SCHEDULED: {
    zh: ({ at }) => `定时消息，${at} 才会发送，届时确定接收人`,
    en: ({ at }) => `it is scheduled for ${at}; who gets it is decided then`,
  },
  STILL_FANNING_OUT: {
    zh: () => '接收人还在展开中，稍后再查',
    en: () => 'its recipients are still being resolved; ask again shortly',
  },
  FAN_OUT_FAILED: {
    zh: ({ user }) => `接收人展开多次失败，已放弃，未轮到 ${user}`,
    en: ({ user }) => `resolving its recipients failed again and again and was given up before it got to ${user}`,
  },
  RECALLED_BEFORE: {
    zh: ({ user }) => `消息在轮到 ${user} 之前被撤回`,
    en: ({ user }) => `the message was recalled before it got to ${user}`,
  },
  UNKNOWN_USER: {
    zh: ({ user }) => `目录中没有 ${user}`,
    en: ({ user }) => `there is no ${user} in the directory`,
  },
  DISABLED_USER: {
    zh: ({ user }) => `${user} 已停用`,
    en: ({ user }) => `${user} is disabled`,
  },
  ADDED_LATER: {
    zh: ({ user }) => `${user} 现在属于接收范围，但发送时不在其中`,
    en: ({ user }) => `${user} is in the audience today, but was not when it was sent`,
  },
  NOT_IN_AUDIENCE: {
    zh: ({ user, channel }) => `${user} 不在接收范围内（渠道 ${channel}）`,
    en: ({ user, channel }) => `${user} is not in the audience of ${channel}`,
  },
  POSTED_TO_GROUP: {
    zh: ({ channel }) => `渠道 ${channel} 是群消息，只发一次到群里，不逐人发送`,
    en: ({ channel }) => `${channel} is a group chat: it is posted there once, not to each person`,
  },
} satisfies Record<string, Record<'zh' | 'en', (said: Said) => string>>

export type FindingCode = keyof typeof sentences
