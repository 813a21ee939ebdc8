/** One job, ready to run: the tabs GraphiQL opens with. Each query holds one named operation; the name is the tab's title. */
export type Example = {
  /** What it does, in both languages; becomes the comment above the query. */
  title: string
  /** Who would do this. */
  viewer: 'app' | 'user' | 'admin'
  query: string
  variables?: Record<string, unknown>
}

export const examples: Example[] = [
  {
    title: '推送给一个人 · Push to a person',
    viewer: 'app',
    query: `mutation PushToPerson {
  pushChannelMessage(
    input: {
      receiver: { specified: { users: ["USER001"] } }
      channels: [
        {
          channelId: "1002"
          site: {
            title: "会议通知"
            content: "<p>今天 15:00，三楼会议室</p>"
          }
        }
      ]
    }
  ) {
    msgId
    warnings
    message {
      id
      state
    }
  }
}`,
  },
  {
    title: '按模板推送 · Push by template',
    viewer: 'app',
    query: `mutation PushByTemplate($variables: [TemplateVariable!]!) {
  pushTemplateMessage(
    input: {
      receiver: { specified: { users: ["USER001"] } }
      templateCode: "MSG1001"
      variables: $variables
    }
  ) {
    msgId
  }
}`,
    variables: {
      variables: [
        { name: 'code', value: 'Medical1001' },
        { name: 'name', value: '患者001' },
      ],
    },
  },
  {
    title: '实时收件箱：先运行，再去推送 · Watch an inbox: run this, then push',
    viewer: 'user',
    query: `subscription WatchInbox {
  inboxChanges {
    __typename
    ... on InboxSnapshot {
      rev
      counts {
        unread
        unseen
      }
      items {
        id
        title
      }
    }
    ... on ItemChanged {
      change
      rev
      counts {
        unread
        unseen
      }
      item {
        id
        title
        text
      }
    }
    ... on ItemsChanged {
      change
      rev
      itemIds
      counts {
        unread
        unseen
      }
    }
    ... on ItemGone {
      reason
      rev
      itemId
      counts {
        unread
        unseen
      }
    }
    ... on InboxCaughtUp {
      rev
    }
  }
}`,
  },
  {
    title: '收件箱与未读数 · Inbox and counts',
    viewer: 'user',
    query: `query ReadInbox {
  inbox(first: 20) {
    edges {
      node {
        id
        title
        readAt
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
  inboxCounts {
    unread
    unseen
    byApp {
      appId
      unread
    }
  }
}`,
  },
  {
    title: '在收件箱里查找 · Search the inbox',
    viewer: 'user',
    query: `query SearchInbox($filter: InboxFilter!) {
  inbox(first: 20, filter: $filter) {
    edges {
      node {
        id
        title
        text
        createdAt
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}`,
    variables: { filter: { search: '会议', since: '2026-01-01T00:00:00+08:00' } },
  },
  {
    title: '消息去向：填入 msgId · What became of a message: put its msgId below',
    viewer: 'app',
    query: `query MessageStatus($id: ID!) {
  message(id: $id) {
    msgId
    state
    recipientCount
    unresolved
    channels {
      channelId
      kind
      totals {
        state
        count
      }
    }
    recipients(first: 20) {
      edges {
        node {
          channelId
          recipient
          state
          reason
          history {
            at
            state
            attempt
            why
          }
        }
      }
    }
  }
}`,
    variables: { id: '' },
  },
  {
    title: '为什么没收到：填入 msgId 和用户 · Why somebody did not get it: put a msgId and a user below',
    viewer: 'app',
    query: `query WhyNot($msgId: ID!, $user: String!) {
  explainDelivery(msgId: $msgId, user: $user) {
    channelId
    code
    zh
    en
  }
}`,
    variables: { msgId: '', user: 'USER001' },
  },
  {
    title: '撤回：填入 msgId · Take a message back: put its msgId below',
    viewer: 'app',
    query: `mutation RecallMessage($id: ID!) {
  recallMessage(id: $id, reason: "wrong patient") {
    messages {
      msgId
      state
      recall {
        channels {
          channelId
          result
          counts {
            cancelled
            recalled
            read
            tooLate
            pending
            ended
          }
        }
      }
    }
  }
}`,
    variables: { id: '' },
  },
  {
    title: '标为已读：填入收件箱里的 id · Mark read: put ids from the inbox below',
    viewer: 'user',
    query: `mutation MarkRead($ids: [ID!]!) {
  markItemsRead(ids: $ids) {
    counts {
      unread
    }
    rev
  }
}`,
    variables: { ids: [] },
  },
  {
    title: '发送队列 · What waits to be delivered',
    viewer: 'admin',
    query: `query Queue {
  queue {
    channelId
    lane
    waiting
    dueNow
    inFlight
    isAtLeast
    oldestDueSeconds
  }
}`,
  },
  {
    title: '未送达的，再试一次 · What did not arrive: look, then try again',
    viewer: 'admin',
    query: `mutation TryAgain {
  replayDeliveries(input: { filter: { state: DEAD } }) {
    replayed
    isMore
  }
}`,
  },
]
