/** Pushing, and what became of a push. */
import type { Example } from '../examples.ts'

export const messagesExamples: Example[] = [
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
    title: '先看后推：会发给谁、说什么 · Look before pushing: whom it reaches, what it says',
    viewer: 'app',
    query: `query LookBeforePushing($input: PreviewPushInput!) {
  previewPush(input: $input) {
    recipients
    names
    unresolved
    channels {
      channelId
      reachable
      withoutAddress
      segments
      content
    }
    smsSegments
    warnings
    needsConfirmation
    confirmation
  }
}`,
    variables: {
      input: {
        template: {
          receiver: { specified: { depts: ['DEPT001'] } },
          templateCode: 'MSG1001',
          variables: [
            { name: 'code', value: 'Medical1001' },
            { name: 'name', value: '患者001' },
          ],
        },
      },
    },
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
]
