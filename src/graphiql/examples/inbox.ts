/** What a person does with the inbox. */
import type { Example } from '../examples.ts'

export const inboxExamples: Example[] = [
  {
    title: '申请某人的收件箱令牌 · A token for somebody’s inbox',
    viewer: 'app',
    query: `mutation InboxToken($user: String!) {
  inboxToken(user: $user, ttlSeconds: 3600) {
    token
    jti
    expiresAt
  }
}`,
    variables: { user: 'USER001' },
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
]
