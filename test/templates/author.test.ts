/** An author's work on templates, from the first draft to a roll-back, as the admin's front end does it. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { putKey, saveApp } from '../../src/apps/apps.ts'
import { bearerKey, sha256 } from '../../src/apps/authenticate.ts'
import { examples } from '../../src/graphiql/examples.ts'
import { APP, run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const SAVE = `mutation ($input: SaveTemplateDraftInput!) {
  saveTemplateDraft(input: $input) {
    template { code name version revision enabled variables { name type required example default sensitive } draft { basedOn } }
    warnings { severity path line column en }
  }
}`
const PUBLISH = `mutation ($code: String!, $revision: Int!) {
  publishTemplate(code: $code, revision: $revision) { template { version revision name draft { name } } }
}`
const ROLL_BACK = `mutation ($code: String!, $to: Int!, $revision: Int!) {
  rollBackTemplate(code: $code, toVersion: $to, revision: $revision) {
    template { version revision published { contents restoredFrom } draft { name } }
  }
}`

describe.each(stores)('an author of templates, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  const admin = (query: string, variables: Record<string, unknown> = {}) =>
    posthouse.graphql(posthouse.adminKey, query, variables)
  const draft = (code: string, words: string, more: object = {}) => ({
    input: { code, name: `模板 ${code}`, contents: { '1002': { title: '题', content: words } }, ...more },
  })
  /** Saves and publishes, whatever the revision. */
  async function publish(code: string, words: string, more: object = {}) {
    const found = await admin('query ($code: String!) { template(code: $code) { revision } }', { code })
    const saved = await admin(SAVE, draft(code, words, { revision: found.data?.['template']?.revision, ...more }))
    expect(saved.errors).toBeUndefined()
    const { revision } = saved.data!['saveTemplateDraft'].template
    return (await admin(PUBLISH, { code, revision })).data!['publishTemplate'].template
  }
  const push = (templateCode: string, channelParamData: object, more: object = {}) =>
    posthouse.post('/api/openApi/message/push/template', {
      appId: APP,
      receiverType: 'specified',
      receiverData: { user: ['USER001'] },
      templateCode,
      channelParamData,
      ...more,
    })
  const newest = async () => {
    const token = await posthouse.token('USER001')
    const { data } = await posthouse.graphql(token, '{ inbox(first: 1) { edges { node { text msgId } } } }')
    return data!['inbox'].edges[0].node as { text: string; msgId: string }
  }
  const acts = async (subject: string) => {
    const { data } = await admin(
      'query ($subject: String!) { auditEntries(filter: { subject: $subject }) { edges { node { act actor before after } } } }',
      { subject },
    )
    return data!['auditEntries'].edges.map(({ node }: { node: object }) => node)
  }

  it('saves a draft that pushes do not see, publishes it, and pushes say it', async () => {
    const saved = await admin(SAVE, draft('T1', '<p>{{ 病人 }}：{{ code }}</p>'))
    expect(saved.data!['saveTemplateDraft']).toEqual({
      template: {
        code: 'T1',
        name: '模板 T1',
        version: null,
        revision: 1,
        enabled: true,
        variables: ['病人', 'code'].map((name) => ({
          name,
          type: 'STRING',
          required: true,
          example: null,
          default: null,
          sensitive: false,
        })),
        draft: { basedOn: 0 },
      },
      warnings: [],
    })
    expect((await push('T1', { 病人: '张三', code: 1 })).status).toBe(404)
    const published = await admin(PUBLISH, { code: 'T1', revision: 1 })
    expect(published.data!['publishTemplate'].template).toEqual({
      version: 1,
      revision: 2,
      name: '模板 T1',
      draft: null,
    })
    expect((await push('T1', { 病人: '张三', code: 1 })).status).toBe(200)
    expect((await newest()).text).toBe('张三：1')
    expect(await acts('T1')).toMatchObject([
      { act: 'template.publish', actor: 'admin', before: { version: null }, after: { version: 1 } },
      { act: 'template.saveDraft', before: null, after: { name: '模板 T1', basedOn: 0 } },
    ])
  })

  it('is told when another has saved or published meanwhile; then nothing is changed', async () => {
    await publish('T2', '一')
    const first = await admin(SAVE, draft('T2', '甲', { revision: 2 }))
    expect(first.data!['saveTemplateDraft'].template.revision).toBe(3)
    const late = [
      await admin(SAVE, draft('T2', '乙', { revision: 2 })),
      await admin(SAVE, draft('T2', '乙')),
      await admin(PUBLISH, { code: 'T2', revision: 2 }),
      await admin(ROLL_BACK, { code: 'T2', to: 1, revision: 2 }),
      await admin('mutation { discardTemplateDraft(code: "T2", revision: 2) { code } }'),
    ]
    for (const { errors } of late)
      expect(errors).toMatchObject([
        { extensions: { code: 'CONFLICT' }, message: expect.stringContaining('stands at revision 3') },
      ])
    const { data } = await admin('{ template(code: "T2") { revision draft { contents } } }')
    expect(data!['template']).toEqual({
      revision: 3,
      draft: { contents: { '1002': { title: '题', content: '甲' } } },
    })
    expect(await acts('T2')).toHaveLength(3)
  })

  it('of ten that save at once, one does', async () => {
    await publish('T3', '一')
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, at) => admin(SAVE, draft('T3', `稿 ${at}`, { revision: 2 }))),
    )
    expect(all.filter(({ errors }) => errors === undefined)).toHaveLength(1)
    expect(await acts('T3')).toHaveLength(3)
  })

  it('rolls back: the old words come as a new version, a draft stays, messages keep the version they name', async () => {
    await publish('T4', '旧话')
    await push('T4', {})
    const { msgId } = await newest()
    await publish('T4', '新话')
    await push('T4', {})
    expect((await newest()).text).toBe('新话')
    await admin(SAVE, draft('T4', '草稿', { revision: 4 }))
    const back = await admin(ROLL_BACK, { code: 'T4', to: 1, revision: 5 })
    expect(back.data!['rollBackTemplate'].template).toEqual({
      version: 3,
      revision: 6,
      published: { contents: { '1002': { title: '题', content: '旧话' } }, restoredFrom: 1 },
      draft: { name: '模板 T4' },
    })
    await push('T4', {})
    expect((await newest()).text).toBe('旧话')
    const pinned = await admin('query ($id: ID!) { message(id: $id) { templateCode templateVersion } }', { id: msgId })
    expect(pinned.data!['message']).toEqual({ templateCode: 'T4', templateVersion: 1 })
    const { data } = await admin('{ template(code: "T4") { versions { edges { node { version restoredFrom } } } } }')
    expect(data!['template'].versions.edges.map(({ node }: { node: object }) => node)).toEqual([
      { version: 3, restoredFrom: 1 },
      { version: 2, restoredFrom: null },
      { version: 1, restoredFrom: null },
    ])
    for (const to of [0, 3, 7])
      expect((await admin(ROLL_BACK, { code: 'T4', to, revision: 6 })).errors).toMatchObject([
        { extensions: { code: 'BAD_INPUT', field: 'toVersion' } },
      ])
  })

  it('disables a template and enables it again, each noted once however often said', async () => {
    await publish('T5', '一')
    const set = (enabled: boolean) =>
      admin(`mutation { setTemplateEnabled(code: "T5", enabled: ${enabled}) { enabled } }`)
    await set(false)
    expect((await set(false)).data).toEqual({ setTemplateEnabled: { enabled: false } })
    expect((await push('T5', {})).body.msg).toContain('模板 T5 已停用')
    await set(true)
    expect((await push('T5', {})).status).toBe(200)
    expect((await acts('T5')).slice(0, 2)).toMatchObject([
      { act: 'template.setEnabled', before: { enabled: false }, after: { enabled: true } },
      { act: 'template.setEnabled', before: { enabled: true }, after: { enabled: false } },
    ])
    expect(await acts('T5')).toHaveLength(4)
  })

  it('keeps what was declared of a variable when only the wording changes', async () => {
    const declared = { name: 'n', type: 'NUMBER', required: false, default: '3', example: '7', sensitive: true }
    await publish('T6', '{{ n }}', { variables: [declared] })
    const { data } = await admin(SAVE, draft('T6', '{{ n }} 与 {{ m }}', { revision: 2 }))
    expect(data!['saveTemplateDraft'].template.variables).toEqual([declared])
    const { draft: saved } = (
      await admin('{ template(code: "T6") { draft { variables { name type required default example sensitive } } } }')
    ).data!['template']
    expect(saved.variables).toMatchObject([declared, { name: 'm', type: 'STRING', required: true }])
  })

  it('has variables of a type: a push that gives another is refused by name, an optional one has its default', async () => {
    const of = (name: string, type: string, more: object = {}) => ({ name, type, ...more })
    await publish(
      'T7',
      '{{ n | plus: 1 }} {% if urgent %}急{% endif %}{% if n == 5 %}五{% endif %} {{ day }} {{ to }} {{ tel }}',
      {
        variables: [
          of('n', 'NUMBER'),
          of('urgent', 'BOOLEAN', { required: false }),
          of('day', 'DATE', { required: false, default: '2026-08-04' }),
          of('to', 'URL', { required: false }),
          of('tel', 'PHONE', { required: false, default: '13800138000' }),
        ],
      },
    )
    expect((await push('T7', { n: 5, urgent: true, to: '/a' })).status).toBe(200)
    expect((await newest()).text).toBe('6 急五 2026-08-04 /a 13800138000')
    await push('T7', { n: '1.50', urgent: 'false', day: '', tel: '18660886275' })
    expect((await newest()).text).toBe('2.5  2026-08-04  18660886275')
    const refused = async (given: object) => (await push('T7', given)).body.msg
    expect(await refused({})).toContain('channelParamData: 缺少变量 n')
    expect(await refused({ n: '1,5' })).toContain('channelParamData.n: 应为数字')
    expect(await refused({ n: 1, urgent: '是' })).toContain('channelParamData.urgent: 应为true 或 false')
    expect(await refused({ n: 1, day: '2026-02-30' })).toContain('channelParamData.day: 应为日期')
    expect(await refused({ n: 1, to: 'javascript:alert(1)' })).toContain('channelParamData.to: 应为')
    expect(await refused({ n: 1, tel: '12' })).toContain('channelParamData.tel: 应为手机号')
  })

  it('an app sees what it may push, without the words', async () => {
    const [keyId, secret] = [randomUUID().slice(0, 8), randomUUID()]
    await saveApp(posthouse.context.db, { id: 'sms-only', name: 'sms', grants: ['channel:1001', 'channel:1002'] })
    await putKey(posthouse.context.db, { keyId, appId: 'sms-only', secretSha256: sha256(secret) })
    const app = (query: string) => posthouse.graphql(bearerKey(keyId, secret), query)
    const { data } = await app('{ templates(first: 100) { edges { node { code version variables { name } } } } }')
    const codes = data!['templates'].edges.map(({ node }: { node: { code: string } }) => node.code)
    // MSG1001 also says something on 1003.
    expect(codes).toContain('MSG1002')
    expect(codes).not.toContain('MSG1001')
    expect((await app('{ template(code: "MSG1001") { code } }')).data).toEqual({ template: null })
    await admin(SAVE, draft('T8', '未发布'))
    expect((await app('{ template(code: "T8") { code } }')).data).toEqual({ template: null })
    for (const hidden of ['revision', 'draft { contents }', 'published { contents }', 'versions { edges { cursor } }'])
      expect((await app(`{ template(code: "MSG1002") { ${hidden} } }`)).errors).toMatchObject([
        { extensions: { code: 'FORBIDDEN' } },
      ])
  })

  it('pages through all templates by code, and through versions', async () => {
    const codes: string[] = []
    for (let after = '', more = true; more;) {
      const { data } = await admin(
        'query ($after: String) { templates(first: 2, after: $after) { edges { node { code } } pageInfo { endCursor hasNextPage } } }',
        { after },
      )
      codes.push(...data!['templates'].edges.map(({ node }: { node: { code: string } }) => node.code))
      ;({ endCursor: after, hasNextPage: more } = data!['templates'].pageInfo)
    }
    expect(codes).toEqual([...new Set(codes)].toSorted())
    expect(codes.length).toBeGreaterThan(6)
  })
})

describe.each(stores)('the examples of templates, on $name', (store) => {
  it('work one after the other on the sample hospital', async () => {
    const posthouse = await run(store)
    const names = [
      'Templates',
      'PreviewTemplate',
      'SaveTemplateDraft',
      'PublishTemplate',
      'RollBackTemplate',
      'TemplateHistory',
      'SetTemplateEnabled',
    ]
    const bearer = posthouse.adminKey
    for (const name of names) {
      const { query, variables } = examples.find((one) => one.query.includes(` ${name}`))!
      expect([name, (await posthouse.graphql(bearer, query, variables)).errors]).toEqual([name, undefined])
    }
    await posthouse.stop()
  })
})
