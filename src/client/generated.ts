/* eslint-disable */
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** A content and the channel it is for. Give the one that the channel carries. */
export type ChannelContent = {
  /** The channel's id, e.g. `1002`. */
  channelId: string;
  /** For a group chat. */
  chat?: ChatContent | null | undefined;
  /** For an e-mail channel. */
  mail?: MailContent | null | undefined;
  /** For the inbox channel. */
  site?: SiteContent | null | undefined;
  /** For an SMS channel. */
  sms?: SmsContent | null | undefined;
};

/** What a channel carries. */
export type ChannelKind =
  /** One post into a group chat (群聊). */
  | 'CHAT'
  /** E-mail (邮件). */
  | 'MAIL'
  /** The live inbox (站内信). */
  | 'SITE'
  /** SMS (短信). */
  | 'SMS';

/** What is posted into the group chat. */
export type ChatContent = {
  /** Mention everybody in the chat. */
  atAll?: boolean | null | undefined;
  /** Mobile numbers of members to mention; at most 100. */
  atMobiles?: Array<string> | null | undefined;
  /** Plain text or Markdown. How long it may be depends on the robot; at most 20 KiB. */
  content: string;
  /** Stands above the text; at most 200 characters. */
  title?: string | null | undefined;
  /** Link to details: http(s). */
  website?: string | null | undefined;
};

/** Accounts on one channel. */
export type CustomReceiver = {
  /** Phone numbers, mail addresses or user codes. For a group chat any one, to say that it is wanted. */
  accounts: Array<string>;
  /** The channel's id, e.g. `1001`. */
  channelId: string;
};

/** Where a delivery is. All but QUEUED and SENDING are final, though a receipt may still correct SENT. */
export type DeliveryState =
  /** A recall came before it was sent, or stopped further attempts. */
  | 'CANCELLED'
  /** All attempts are used up. */
  | 'DEAD'
  /** The provider's receipt says that it arrived. */
  | 'DELIVERED'
  /** It grew too old before it could be sent. */
  | 'EXPIRED'
  /** The provider refused it for good, or the account is none. */
  | 'FAILED'
  /** Waits for its time or its next attempt. */
  | 'QUEUED'
  /** With a worker. */
  | 'SENDING'
  /** The provider took it. */
  | 'SENT'
  /** The person has no address on this channel. */
  | 'SKIPPED'
  /** The provider's receipt says that it did not arrive. */
  | 'UNDELIVERED';

/** Which items; what is left out does not matter. */
export type InboxFilter = {
  /** Only from this app. */
  appId?: string | null | undefined;
  /** true: only archived ones; otherwise only those in the inbox. */
  archived?: boolean | null | undefined;
  /** Only of this type. */
  msgType?: string | null | undefined;
  /** Only what says all of these words, in title or text; spaces part them. Case and full or half width do not matter, nothing is a wildcard, and a word is found inside another. At most 100 characters and 10 words. Looks at the newest 20000 items of the inbox, the archived among them, and at none before those. */
  search?: string | null | undefined;
  /** Only from this sender. */
  senderCode?: string | null | undefined;
  /** Only what came then or later. */
  since?: string | null | undefined;
  /** true: only sleeping ones; otherwise only those awake. */
  snoozed?: boolean | null | undefined;
  /** true: only unread ones; false: only read ones. */
  unread?: boolean | null | undefined;
  /** Only what came before then. */
  until?: string | null | undefined;
};

/** Why a subscriber has to start anew. */
export type InboxLagReason =
  /** The rev is ahead of the inbox: the database was set back to an older state. */
  | 'AHEAD'
  /** Too much has changed since to send it one by one. */
  | 'TOO_FAR_BEHIND';

/** What happened to an item. */
export type ItemChange =
  /** It was put away. */
  | 'ARCHIVED'
  /** It was deleted. */
  | 'DELETED'
  /** Its `expiresAt` came. */
  | 'EXPIRED'
  /** It came. If more happened to it meanwhile, the item shows that already and another event follows. */
  | 'NEW'
  /** It was read. */
  | 'READ'
  /** Its sender took it back. */
  | 'RECALLED'
  /** It was seen. */
  | 'SEEN'
  /** It sleeps until `snoozedUntil`, out of the inbox, also if it was archived. */
  | 'SNOOZED'
  /** It was taken back. */
  | 'UNARCHIVED'
  /** It was marked unread. */
  | 'UNREAD'
  /** It is back, unread and unseen. */
  | 'WOKEN';

/** Why an item left the inbox for good. */
export type ItemGoneReason =
  /** The person deleted it. */
  | 'DELETED'
  /** Its `expiresAt` came. */
  | 'EXPIRED'
  /** Its sender took it back. */
  | 'RECALLED';

/** What the e-mail says. */
export type MailContent = {
  /** HTML; at most 512 KiB. Sent with a text form beside it. */
  content: string;
  /** Subject; without it the first 40 characters of the text. */
  title?: string | null | undefined;
};

/** Where a message is between acceptance and its recipients. */
export type MessageState =
  /** Its recipients could not be resolved, time and again. */
  | 'FAILED'
  /** Every recipient has an item or a delivery. */
  | 'FANNED_OUT'
  /** Its recipients are being resolved, chunk by chunk. */
  | 'FANNING_OUT'
  /** It has been taken back: see `recall` for what came of it. */
  | 'RECALLED'
  /** It is being taken back; nothing new goes out. */
  | 'RECALLING'
  /** Waits for its `sendTime`. */
  | 'SCHEDULED';

/** How urgent a message is. */
export type Priority =
  /** Before all others (高). */
  | 'HIGH'
  /** It can wait (低). */
  | 'LOW'
  /** As usual (中); this one when none is given. */
  | 'NORMAL';

/** A message with its contents. */
export type PushChannelMessageInput = {
  /** Your own id, for correlation; at most 128 characters, not unique. */
  businessId?: string | null | undefined;
  /** The documented form: contents by channel id. */
  channelData?: unknown;
  /** What it says on each channel. Or use `channelData` as documented. */
  channels?: Array<ChannelContent> | null | undefined;
  /** What `previewPush` gave out for this very push, where the app's guard wants it; good once, for 15 minutes. */
  confirmation?: string | null | undefined;
  /** When nobody is to get it or see it any more, written as `sendTime` is: it leaves the inboxes, and what has not gone out never does. None: it stays. */
  expiresAt?: string | null | undefined;
  /** Any text up to 255 characters: the same key and input push once, however often sent. */
  idempotencyKey?: string | null | undefined;
  /** `notice` (default) or `reminder`. */
  msgType?: string | null | undefined;
  /** How urgent it is. */
  priority?: Priority | null | undefined;
  /** Whom to reach. Or use `receiverType` and `receiverData` as documented. */
  receiver?: Receiver | null | undefined;
  /** The documented form: lists by `user`, `dept`, `post`, `role`, or accounts by channel id. */
  receiverData?: unknown;
  /** The documented form of `receiver`. */
  receiverType?: ReceiverType | null | undefined;
  /** `yyyy-MM-dd HH:mm:ss` in the configured zone, or ISO 8601 with offset. None or past: now. */
  sendTime?: string | null | undefined;
  /** The sender's code; its name is looked up. */
  senderCode?: string | null | undefined;
  /** The sender's name, when it is to be another. */
  senderName?: string | null | undefined;
};

/** A message said by a template. */
export type PushTemplateMessageInput = {
  /** Your own id, for correlation; at most 128 characters, not unique. */
  businessId?: string | null | undefined;
  /** The documented form: values by name. */
  channelParamData?: unknown;
  /** What `previewPush` gave out for this very push, where the app's guard wants it; good once, for 15 minutes. */
  confirmation?: string | null | undefined;
  /** When nobody is to get it or see it any more, written as `sendTime` is: it leaves the inboxes, and what has not gone out never does. None: it stays. */
  expiresAt?: string | null | undefined;
  /** Any text up to 255 characters: the same key and input push once, however often sent. */
  idempotencyKey?: string | null | undefined;
  /** `notice` or `reminder`; otherwise the template's own. */
  msgType?: string | null | undefined;
  /** How urgent it is. */
  priority?: Priority | null | undefined;
  /** Whom to reach. Or use `receiverType` and `receiverData` as documented. */
  receiver?: Receiver | null | undefined;
  /** The documented form: lists by `user`, `dept`, `post`, `role`, or accounts by channel id. */
  receiverData?: unknown;
  /** The documented form of `receiver`. */
  receiverType?: ReceiverType | null | undefined;
  /** `yyyy-MM-dd HH:mm:ss` in the configured zone, or ISO 8601 with offset. None or past: now. */
  sendTime?: string | null | undefined;
  /** The sender's code; its name is looked up. */
  senderCode?: string | null | undefined;
  /** The sender's name, when it is to be another. */
  senderName?: string | null | undefined;
  /** Which template. */
  templateCode: string;
  /** Values of its variables. Or use `channelParamData` as documented. */
  variables?: Array<TemplateVariable> | null | undefined;
};

/** What a recall came to on one channel: its worst recipient's lot, from the bottom of this list up. */
export type RecallResult =
  /** Nothing went out, and nothing ever will. */
  | 'CANCELLED'
  /** Not all is decided yet; the final answer follows. */
  | 'PENDING'
  /** It was in inboxes, and is gone from all of them. */
  | 'RECALLED'
  /** Some were with the provider already, or may have been. The others were cancelled. */
  | 'TOO_LATE';

/** Whom to reach: exactly one of the three. */
export type Receiver =
  {   /** `true`: everybody. */
  all: boolean; custom?: never; specified?: never; }
  |  { all?: never;   /** Accounts by channel. */
  custom: Array<CustomReceiver>; specified?: never; }
  |  { all?: never; custom?: never;   /** People and groups. */
  specified: SpecifiedReceiver; };

/** The documented `receiverType`. */
export type ReceiverType =
  /** Everybody: a broadcast. */
  | 'all'
  /** The accounts named in `receiverData` by channel id. */
  | 'custom'
  /** The people named in `receiverData` by user, dept, post and role. */
  | 'specified';

/** What the inbox item says. */
export type SiteContent = {
  /** HTML, sanitised as it is accepted; at most 64 KiB. */
  content: string;
  /** At most 200 characters; without it the first 40 of the text. */
  title?: string | null | undefined;
  /** Link to details: http(s) or a path. */
  website?: string | null | undefined;
};

/** What the SMS says: free text, a template at the provider, or both for whichever it takes. */
export type SmsContent = {
  /** Free text; at most 1,000 characters. */
  content?: string | null | undefined;
  /** Signature (短信签名). */
  sign?: string | null | undefined;
  /** The provider's template. */
  templateData?: SmsTemplate | null | undefined;
};

/** A template at the SMS provider's. */
export type SmsTemplate = {
  /** Its parameters: an object of texts. */
  paramData?: unknown;
  /** The provider's id for it. */
  templateId: string;
};

/** People by code and by group. Everybody meant gets the message once, however often named. */
export type SpecifiedReceiver = {
  /** Department codes; sub-departments belong to them. */
  depts?: Array<string> | null | undefined;
  /** Post codes. */
  posts?: Array<string> | null | undefined;
  /** Role codes. */
  roles?: Array<string> | null | undefined;
  /** User codes. */
  users?: Array<string> | null | undefined;
};

/** A template variable's value. */
export type TemplateVariable = {
  /** Its name in the template. */
  name: string;
  /** Its value, as text. */
  value: string;
};

export type CountsFragment = { unread: number, unseen: number, byMsgType: Array<{ msgType: string, unread: number, unseen: number }>, byApp: Array<{ appId: string, unread: number, unseen: number }> };

export type ItemLineFragment = { id: string, msgId: string, title: string, text: string, website: string | null, msgType: string, priority: number, senderName: string | null, createdAt: string, seenAt: string | null, readAt: string | null, archivedAt: string | null, snoozedUntil: string | null };

export type InboxChangesSubscriptionVariables = Exact<{
  after?: string | null | undefined;
}>;


export type InboxChangesSubscription = { inboxChanges:
    | { __typename: 'InboxCaughtUp', rev: string }
    | { __typename: 'InboxLagged', rev: string, lagReason: InboxLagReason }
    | { __typename: 'InboxSnapshot', rev: string, hasMore: boolean, counts: { unread: number, unseen: number, byMsgType: Array<{ msgType: string, unread: number, unseen: number }>, byApp: Array<{ appId: string, unread: number, unseen: number }> }, items: Array<{ id: string, msgId: string, title: string, text: string, website: string | null, msgType: string, priority: number, senderName: string | null, createdAt: string, seenAt: string | null, readAt: string | null, archivedAt: string | null, snoozedUntil: string | null }> }
    | { __typename: 'ItemChanged', rev: string, change: ItemChange, counts: { unread: number, unseen: number, byMsgType: Array<{ msgType: string, unread: number, unseen: number }>, byApp: Array<{ appId: string, unread: number, unseen: number }> }, item: { id: string, msgId: string, title: string, text: string, website: string | null, msgType: string, priority: number, senderName: string | null, createdAt: string, seenAt: string | null, readAt: string | null, archivedAt: string | null, snoozedUntil: string | null } }
    | { __typename: 'ItemGone', rev: string, itemId: string, reason: ItemGoneReason, counts: { unread: number, unseen: number, byMsgType: Array<{ msgType: string, unread: number, unseen: number }>, byApp: Array<{ appId: string, unread: number, unseen: number }> } }
    | { __typename: 'ItemsChanged', rev: string, change: ItemChange, itemIds: Array<string>, marks: Array<{ id: string, seenAt: string | null, readAt: string | null, archivedAt: string | null, snoozedUntil: string | null }>, counts: { unread: number, unseen: number, byMsgType: Array<{ msgType: string, unread: number, unseen: number }>, byApp: Array<{ appId: string, unread: number, unseen: number }> } }
   };

export type InboxPageQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
  filter?: InboxFilter | null | undefined;
}>;


export type InboxPageQuery = { inbox: { edges: Array<{ node: { content: string, id: string, msgId: string, title: string, text: string, website: string | null, msgType: string, priority: number, senderName: string | null, createdAt: string, seenAt: string | null, readAt: string | null, archivedAt: string | null, snoozedUntil: string | null } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type InboxCountsQueryVariables = Exact<{ [key: string]: never; }>;


export type InboxCountsQuery = { inboxCounts: { unread: number, unseen: number, byMsgType: Array<{ msgType: string, unread: number, unseen: number }>, byApp: Array<{ appId: string, unread: number, unseen: number }> } };

export type MarkItemsReadMutationVariables = Exact<{
  ids: Array<string | number> | string | number;
}>;


export type MarkItemsReadMutation = { markItemsRead: { rev: string, counts: { unread: number, unseen: number, byMsgType: Array<{ msgType: string, unread: number, unseen: number }>, byApp: Array<{ appId: string, unread: number, unseen: number }> }, items: Array<{ id: string, msgId: string, title: string, text: string, website: string | null, msgType: string, priority: number, senderName: string | null, createdAt: string, seenAt: string | null, readAt: string | null, archivedAt: string | null, snoozedUntil: string | null }> } };

export type PushChannelMessageMutationVariables = Exact<{
  input: PushChannelMessageInput;
}>;


export type PushChannelMessageMutation = { pushChannelMessage: { msgId: string, warnings: Array<string>, isReplay: boolean } };

export type PushTemplateMessageMutationVariables = Exact<{
  input: PushTemplateMessageInput;
}>;


export type PushTemplateMessageMutation = { pushTemplateMessage: { msgId: string, warnings: Array<string>, isReplay: boolean } };

export type RecallMessageMutationVariables = Exact<{
  id?: string | number | null | undefined;
  businessId?: string | null | undefined;
  reason?: string | null | undefined;
  after?: string | null | undefined;
}>;


export type RecallMessageMutation = { recallMessage: { isMore: boolean, next: string | null, messages: Array<{ msgId: string, state: MessageState, recall: { at: string, by: string, reason: string | null, channels: Array<{ channelId: string, result: RecallResult, counts: { cancelled: number, recalled: number, read: number, tooLate: number, pending: number, ended: number } }> } | null }> } };

export type MessageStatusQueryVariables = Exact<{
  id: string | number;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type MessageStatusQuery = { message: { msgId: string, state: MessageState, recipientCount: number, dueAt: string, channels: Array<{ channelId: string, kind: ChannelKind, totals: Array<{ state: string, count: number }> }>, deliveries: { edges: Array<{ node: { id: string, channelId: string, recipient: string, state: DeliveryState, reason: string | null, attempts: number, settledAt: string | null } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } } | null };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}
export const CountsFragmentDoc = new TypedDocumentString(`
    fragment Counts on InboxCounts {
  unread
  unseen
  byMsgType {
    msgType
    unread
    unseen
  }
  byApp {
    appId
    unread
    unseen
  }
}
    `, {"fragmentName":"Counts"}) as unknown as TypedDocumentString<CountsFragment, unknown>;
export const ItemLineFragmentDoc = new TypedDocumentString(`
    fragment ItemLine on InboxItem {
  id
  msgId
  title
  text
  website
  msgType
  priority
  senderName
  createdAt
  seenAt
  readAt
  archivedAt
  snoozedUntil
}
    `, {"fragmentName":"ItemLine"}) as unknown as TypedDocumentString<ItemLineFragment, unknown>;
export const InboxChangesDocument = new TypedDocumentString(`
    subscription InboxChanges($after: Rev) {
  inboxChanges(after: $after) {
    __typename
    ... on InboxSnapshot {
      rev
      counts {
        ...Counts
      }
      items {
        ...ItemLine
      }
      hasMore
    }
    ... on ItemChanged {
      rev
      change
      counts {
        ...Counts
      }
      item {
        ...ItemLine
      }
    }
    ... on ItemsChanged {
      rev
      change
      itemIds
      marks {
        id
        seenAt
        readAt
        archivedAt
        snoozedUntil
      }
      counts {
        ...Counts
      }
    }
    ... on ItemGone {
      rev
      itemId
      reason
      counts {
        ...Counts
      }
    }
    ... on InboxLagged {
      rev
      lagReason
    }
    ... on InboxCaughtUp {
      rev
    }
  }
}
    fragment Counts on InboxCounts {
  unread
  unseen
  byMsgType {
    msgType
    unread
    unseen
  }
  byApp {
    appId
    unread
    unseen
  }
}
fragment ItemLine on InboxItem {
  id
  msgId
  title
  text
  website
  msgType
  priority
  senderName
  createdAt
  seenAt
  readAt
  archivedAt
  snoozedUntil
}`) as unknown as TypedDocumentString<InboxChangesSubscription, InboxChangesSubscriptionVariables>;
export const InboxPageDocument = new TypedDocumentString(`
    query InboxPage($first: Int, $after: String, $filter: InboxFilter) {
  inbox(first: $first, after: $after, filter: $filter) {
    edges {
      node {
        ...ItemLine
        content
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment ItemLine on InboxItem {
  id
  msgId
  title
  text
  website
  msgType
  priority
  senderName
  createdAt
  seenAt
  readAt
  archivedAt
  snoozedUntil
}`) as unknown as TypedDocumentString<InboxPageQuery, InboxPageQueryVariables>;
export const InboxCountsDocument = new TypedDocumentString(`
    query InboxCounts {
  inboxCounts {
    ...Counts
  }
}
    fragment Counts on InboxCounts {
  unread
  unseen
  byMsgType {
    msgType
    unread
    unseen
  }
  byApp {
    appId
    unread
    unseen
  }
}`) as unknown as TypedDocumentString<InboxCountsQuery, InboxCountsQueryVariables>;
export const MarkItemsReadDocument = new TypedDocumentString(`
    mutation MarkItemsRead($ids: [ID!]!) {
  markItemsRead(ids: $ids) {
    rev
    counts {
      ...Counts
    }
    items {
      ...ItemLine
    }
  }
}
    fragment Counts on InboxCounts {
  unread
  unseen
  byMsgType {
    msgType
    unread
    unseen
  }
  byApp {
    appId
    unread
    unseen
  }
}
fragment ItemLine on InboxItem {
  id
  msgId
  title
  text
  website
  msgType
  priority
  senderName
  createdAt
  seenAt
  readAt
  archivedAt
  snoozedUntil
}`) as unknown as TypedDocumentString<MarkItemsReadMutation, MarkItemsReadMutationVariables>;
export const PushChannelMessageDocument = new TypedDocumentString(`
    mutation PushChannelMessage($input: PushChannelMessageInput!) {
  pushChannelMessage(input: $input) {
    msgId
    warnings
    isReplay
  }
}
    `) as unknown as TypedDocumentString<PushChannelMessageMutation, PushChannelMessageMutationVariables>;
export const PushTemplateMessageDocument = new TypedDocumentString(`
    mutation PushTemplateMessage($input: PushTemplateMessageInput!) {
  pushTemplateMessage(input: $input) {
    msgId
    warnings
    isReplay
  }
}
    `) as unknown as TypedDocumentString<PushTemplateMessageMutation, PushTemplateMessageMutationVariables>;
export const RecallMessageDocument = new TypedDocumentString(`
    mutation RecallMessage($id: ID, $businessId: String, $reason: String, $after: String) {
  recallMessage(id: $id, businessId: $businessId, reason: $reason, after: $after) {
    isMore
    next
    messages {
      msgId
      state
      recall {
        at
        by
        reason
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
}
    `) as unknown as TypedDocumentString<RecallMessageMutation, RecallMessageMutationVariables>;
export const MessageStatusDocument = new TypedDocumentString(`
    query MessageStatus($id: ID!, $first: Int, $after: String) {
  message(id: $id) {
    msgId
    state
    recipientCount
    dueAt
    channels {
      channelId
      kind
      totals {
        state
        count
      }
    }
    deliveries(first: $first, after: $after) {
      edges {
        node {
          id
          channelId
          recipient
          state
          reason
          attempts
          settledAt
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
    `) as unknown as TypedDocumentString<MessageStatusQuery, MessageStatusQueryVariables>;