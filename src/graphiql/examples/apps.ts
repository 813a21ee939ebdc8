/** Who may push. */
import type { Example } from '../examples.ts'

export const appsExamples: Example[] = [
  {
    title: '应用与密钥 · Apps and their keys',
    viewer: 'admin',
    query: `query Apps {
  apps(first: 20) {
    edges {
      node {
        id
        name
        enabled
        grants
        legacyFrom
        rateLimit {
          perSecond
          burst
        }
        keys {
          keyId
          lastUsedAt
          revokedAt
        }
      }
    }
  }
}`,
  },
  {
    title: '新建应用：密钥只显示一次 · Make an app: its key is shown this once',
    viewer: 'admin',
    query: `mutation MakeApp($input: CreateAppInput!) {
  createApp(input: $input) {
    keyId
    bearer
    app {
      id
      grants
    }
  }
}`,
    variables: {
      input: {
        id: 'lab-system',
        name: '检验系统',
        grants: ['channel:*', 'recall', 'token'],
        rateLimit: { perSecond: 50, burst: 100 },
      },
    },
  },
  {
    title: '修改应用 · Change an app',
    viewer: 'admin',
    query: `mutation ChangeApp($input: UpdateAppInput!) {
  updateApp(input: $input) {
    id
    name
    compat {
      httpStatus
      codeAsString
      paramErrorCode
      templatePriority
      deptIncludesDescendants
    }
    rateLimit {
      perSecond
      burst
    }
    guard {
      recipients
      smsSegmentsPerDay
    }
  }
}`,
    variables: {
      input: {
        id: '102343444',
        name: '示范业务系统',
        rateLimit: { perSecond: 100, burst: 200 },
        guard: { recipients: 5000, smsSegmentsPerDay: 20000 },
      },
    },
  },
  {
    title: '停用应用，再启用 · Keep an app out, and let it in again',
    viewer: 'admin',
    query: `mutation OutAndIn($id: String!) {
  out: setAppEnabled(id: $id, enabled: false) {
    enabled
  }
  in: setAppEnabled(id: $id, enabled: true) {
    enabled
  }
}`,
    variables: { id: '102343444' },
  },
  {
    title: '更换密钥：新旧并用，再吊销旧的 · Change keys: a second one, then revoke the old',
    viewer: 'admin',
    query: `mutation MakeKey {
  createAppKey(id: "102343444") {
    keyId
    bearer
    app {
      keys {
        keyId
        createdAt
        lastUsedAt
        revokedAt
      }
    }
  }
}`,
  },
  {
    title: '吊销密钥：填入 keyId · Revoke a key: put its keyId below',
    viewer: 'admin',
    query: `mutation RevokeKey($keyId: String!) {
  revokeAppKey(keyId: $keyId) {
    id
    keys {
      keyId
      revokedAt
    }
  }
}`,
    variables: { keyId: '' },
  },
  {
    title: '收回某人的全部收件箱令牌 · Take back all inbox tokens of somebody',
    viewer: 'admin',
    query: `mutation RevokeTokens {
  revokeInboxTokens(user: "USER040") {
    user
  }
}`,
  },
]
