/** Writing templates, in the order of an author's work. They begin at what the sample hospital has. */
import type { Example } from '../examples.ts'

export const templatesExamples: Example[] = [
  {
    title: '有哪些模板 · Which templates there are, and what a push must give them',
    viewer: 'app',
    query: `query Templates {
  templates(first: 20) {
    edges {
      node {
        code
        name
        msgType
        version
        variables {
          name
          type
          required
          example
        }
      }
    }
    pageInfo {
      endCursor
      hasNextPage
    }
  }
}`,
  },
  {
    title: '预览，尚未保存 · Preview what is not saved yet: all channels, SMS segments, and what is wrong',
    viewer: 'admin',
    query: `query PreviewTemplate($draft: TemplateDraftInput!) {
  previewTemplate(input: { draft: $draft, locale: "en-US" }) {
    problems {
      severity
      path
      line
      column
      zh
      en
    }
    variables {
      name
      type
      example
    }
    channels {
      channelId
      locale
      content
      text
      sms {
        encoding
        characters
        segments
      }
    }
  }
}`,
    variables: {
      draft: {
        name: '危急值通知',
        msgType: 'reminder',
        contents: {
          '1001': { content: '危急值：{{ patient }} 的 {{ item }} 为 {{ value }}，请 {{ minutes }} 分钟内处理。' },
          '1002': {
            title: '危急值：{{ patient }}',
            content: '<p onclick="open()">{{ item }} <b>{{ value }}</b>，请 {{ minutes }} 分钟内处理。</p>',
          },
        },
        locales: {
          en: {
            '1002': {
              title: 'Critical value: {{ patient }}',
              content: '<p>{{ item }} is <b>{{ value }}</b>: act within {{ minutes }} minutes.</p>',
            },
          },
        },
        variables: [
          { name: 'patient', example: '张三', sensitive: true },
          { name: 'item', example: '血钾' },
          { name: 'value', type: 'NUMBER', example: '6.8' },
          { name: 'minutes', type: 'NUMBER', required: false, default: '30' },
        ],
      },
    },
  },
  {
    title: '保存草稿 · Save a draft: revision is the one you have read',
    viewer: 'admin',
    query: `mutation SaveTemplateDraft($input: SaveTemplateDraftInput!) {
  saveTemplateDraft(input: $input) {
    template {
      code
      version
      revision
      variables {
        name
        type
        required
      }
    }
    warnings {
      path
      zh
      en
    }
  }
}`,
    variables: {
      input: {
        code: 'MSG1002',
        revision: 2,
        name: '会议通知',
        msgType: 'reminder',
        contents: {
          '1002': {
            title: '会议：{{ subject }}',
            content: '<p>{{ time }}，{{ room }}，请提前五分钟到场。</p>',
          },
        },
      },
    },
  },
  {
    title: '发布草稿（先保存）· Publish the draft: run the one before first',
    viewer: 'admin',
    query: `mutation PublishTemplate($code: String!, $revision: Int!) {
  publishTemplate(code: $code, revision: $revision) {
    template {
      version
      revision
    }
    warnings {
      path
      zh
      en
    }
  }
}`,
    variables: { code: 'MSG1002', revision: 3 },
  },
  {
    title: '回滚到旧版本：填入当前 revision · Roll back: put the revision at which it stands',
    viewer: 'admin',
    query: `mutation RollBackTemplate($code: String!, $toVersion: Int!, $revision: Int!) {
  rollBackTemplate(code: $code, toVersion: $toVersion, revision: $revision) {
    template {
      version
      revision
      versions(first: 5) {
        edges {
          node {
            version
            restoredFrom
            createdAt
          }
        }
      }
    }
    warnings {
      path
      zh
      en
    }
  }
}`,
    variables: { code: 'MSG1002', toVersion: 1, revision: 4 },
  },
  {
    title: '一个模板的全部 · All of one template: draft, versions, revision',
    viewer: 'admin',
    query: `query TemplateHistory($code: String!) {
  template(code: $code) {
    name
    enabled
    version
    revision
    draft {
      contents
      basedOn
    }
    published {
      contents
      locales
    }
    versions(first: 10) {
      edges {
        node {
          version
          restoredFrom
          createdAt
        }
      }
    }
  }
}`,
    variables: { code: 'MSG1002' },
  },
  {
    title: '停用模板 · Refuse pushes of a template; true lets them in again',
    viewer: 'admin',
    query: `mutation SetTemplateEnabled($code: String!, $enabled: Boolean!) {
  setTemplateEnabled(code: $code, enabled: $enabled) {
    code
    enabled
  }
}`,
    variables: { code: 'MSG1002', enabled: false },
  },
  {
    title: '丢弃草稿：先存一份，再丢弃 · Throw a draft away: saves one first',
    viewer: 'admin',
    query: `mutation DiscardTemplateDraft($draft: SaveTemplateDraftInput!) {
  saveTemplateDraft(input: $draft) {
    template {
      revision
    }
  }
  discardTemplateDraft(code: "MSG1001", revision: 2) {
    revision
    draft {
      name
    }
  }
}`,
    variables: {
      draft: {
        code: 'MSG1001',
        revision: 1,
        name: '检验报告通知',
        contents: { '1002': { content: '{{ name }}的报告（{{ code }}）已出' } },
      },
    },
  },
]
