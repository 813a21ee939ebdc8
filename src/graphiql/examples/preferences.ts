/** What people want of SMS and e-mail. */
import type { Example } from '../examples.ts'

export const preferencesExamples: Example[] = [
  {
    title: '我的接收偏好 · What I want',
    viewer: 'user',
    query: `query MyPreferences {
  preferences {
    channels {
      msgType
      channelId
      isOn
      canChange
    }
    quietHours {
      from
      to
      days
    }
    timeZone
    quietUntil
  }
}`,
  },
  {
    title: '不再用邮件接收提醒 · No more reminders by e-mail',
    viewer: 'user',
    query: `mutation NoReminderMails {
  setPreference(msgType: "reminder", channelId: "1003", isOn: false) {
    switches {
      msgType
      channelId
      isOn
    }
  }
}`,
  },
  {
    title: '免打扰时段：短信和邮件等到结束再发 · Quiet hours: SMS and e-mail wait for their end',
    viewer: 'user',
    query: `mutation QuietNights {
  setQuietHours(
    quietHours: [
      { from: "22:00", to: "07:00" }
      { from: "07:00", to: "10:00", days: [SATURDAY, SUNDAY] }
    ]
  ) {
    timeZone
    quietUntil
  }
}`,
  },
  {
    title: '必达的消息类型，任何人不能关闭 · A mandatory type, which nobody can switch off',
    viewer: 'admin',
    query: `mutation MandatoryNotices {
  setMsgType(code: "notice", name: "院内通知", isMandatory: true) {
    code
    name
    isMandatory
  }
}`,
  },
  {
    title: '消息类型 · Message types',
    viewer: 'admin',
    query: `query MsgTypes {
  msgTypes {
    code
    name
    isMandatory
  }
}`,
  },
  {
    title: '某人的接收偏好 · What somebody wants',
    viewer: 'admin',
    query: `query PreferencesOf {
  preferences(user: "USER002") {
    switches {
      msgType
      channelId
      isOn
    }
    quietHours {
      from
      to
      days
    }
    changedAt
    changedBy
  }
}`,
  },
  {
    title: '代人关闭短信提醒 · Switch reminders by SMS off for somebody',
    viewer: 'admin',
    query: `mutation NoRemindersFor {
  setPreference(user: "USER002", msgType: "reminder", channelId: "1001", isOn: false) {
    channels {
      msgType
      channelId
      isOn
    }
  }
}`,
  },
  {
    title: '代人设置免打扰时段 · Set quiet hours for somebody',
    viewer: 'admin',
    query: `mutation QuietNightsFor {
  setQuietHours(user: "USER002", quietHours: [{ from: "21:30", to: "06:30" }]) {
    timeZone
    quietUntil
  }
}`,
  },
]
