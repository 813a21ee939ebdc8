/**
 * The sample hospital: an invented one that makes the document's own requests work as they stand, since every app,
 * code, phone and mail address they name is somebody's here. Other mail ends in example.org, other phones are made up.
 */
import { sql } from 'drizzle-orm'
import { saveApp } from './apps/apps.ts'
import { query, type Store } from './db/client.ts'
import { putDepartments, putMemberships, putPosts, putRoles, putUsers } from './directory/directory.ts'
import type { DepartmentRow, GroupRow, MembershipRow, UserRow } from './directory/directory.ts'
import { publishedTemplate, saveTemplate } from './templates/templates.ts'
import type { Variable } from './templates/variables.ts'

/** The app of the document's samples. On its own machine it needs nothing but its id. */
const APP = {
  id: '102343444',
  name: '示范业务系统',
  grants: ['channel:*', 'broadcast:1002', 'preview', 'recall', 'token'],
  legacyFrom: ['127.0.0.1/32', '::1/128'],
}

/** The document's own, with its English, which previews show. */
const REPORT = {
  code: 'MSG1001',
  name: '检验报告通知',
  msgType: 'notice',
  contents: {
    '1001': {
      templateData: { templateId: 'T100101', paramData: { code: '{{ code }}', name: '{{ name }}' } },
      content: '{{ name }}的检验报告（编号 {{ code }}）已审核，请登录系统查看。',
    },
    '1002': {
      title: '检验报告已出：{{ name }}',
      content: '<p><b>{{ name }}</b>的检验报告已审核，编号 {{ code }}，请及时查看。</p>',
      website: '/reports',
    },
    '1003': {
      title: '检验报告已出：{{ name }}',
      content: '<p>您好：</p><p><b>{{ name }}</b>的检验报告（编号 {{ code }}）已审核，请登录系统查看。</p>',
    },
  },
  locales: {
    en: {
      '1002': {
        title: 'Lab report ready: {{ name }}',
        content: '<p>The lab report of <b>{{ name }}</b>, number {{ code }}, has been reviewed.</p>',
        website: '/reports',
      },
    },
  },
  variables: [
    { name: 'code', type: 'string', required: true, example: 'JY20260804', sensitive: false },
    { name: 'name', type: 'string', required: true, example: '张三', sensitive: true },
  ] satisfies Variable[],
}

/** One with a history: the second version says where, the first did not. */
const MEETING = {
  code: 'MSG1002',
  name: '会议通知',
  msgType: 'reminder',
  contents: (where: string) => ({
    '1002': { title: '会议：{{ subject }}', content: `<p>{{ time }}，${where}，请准时参加。</p>` },
  }),
  variables: [
    { name: 'subject', type: 'string', required: true, example: '医疗质量例会', sensitive: false },
    { name: 'time', type: 'date', required: true, example: '2026-08-04 15:00:00', sensitive: false },
  ] satisfies Variable[],
  room: { name: 'room', type: 'string', required: false, example: '三楼会议室', default: '会议室', sensitive: false },
} as const

/** Two blanks deeper is one level down. */
const DEPARTMENTS = `
HOSP001 示范医院
  DEPT100 院办
  DEPT200 医务部
    DEPT001 内科
      DEPT011 心血管内科
      DEPT012 呼吸内科
    DEPT002 外科
    DEPT003 急诊科
  DEPT300 护理部
  DEPT400 检验科
    DEPT401 生化室
    DEPT402 微生物室
  DEPT500 药学部
  DEPT600 信息中心
  DEPT700 财务科`

const POSTS = `
POST001 主任
POST002 护士长
POST003 医师
POST004 护士
POST005 技师
POST006 药师
POST007 工程师
POST008 职员`

const ROLES = `
ROLE001 值班医生
ROLE002 危急值接收人
ROLE003 系统管理员
ROLE004 质控员`

/** Code, name, phone, mail address, department, post, role. `-`: none. The last one has left: disabled. */
const PEOPLE = `
USER001 李伟   18660886275 liwei@example.org         DEPT011 POST001 ROLE001
USER002 陈静   18660886834 chenjing@example.org      DEPT300 POST002 ROLE002
USER003 张三   19900000003 zhangsan@example.org      DEPT700 POST008 -
USER004 赵丽   19900000004 zhaoli@126.com            DEPT400 POST001 ROLE002
USER005 王建国 19900000005 wangjianguo@example.org   DEPT100 POST001 -
USER006 刘芳   19900000006 liufang@example.org       DEPT100 POST008 -
USER007 周敏   19900000007 zhoumin@example.org       DEPT200 POST001 ROLE004
USER008 吴昊   19900000008 wuhao@example.org         DEPT200 POST008 -
USER009 徐海涛 19900000009 xuhaitao@example.org      DEPT001 POST001 -
USER010 孙晓燕 19900000010 sunxiaoyan@example.org    DEPT001 POST003 ROLE001
USER011 马超群 19900000011 machaoqun@example.org     DEPT011 POST003 -
USER012 朱思远 19900000012 zhusiyuan@example.org     DEPT011 POST003 ROLE002
USER013 胡雪梅 19900000013 huxuemei@example.org      DEPT011 POST002 -
USER014 郭佳怡 19900000014 guojiayi@example.org      DEPT011 POST004 -
USER015 林志强 19900000015 linzhiqiang@example.org   DEPT012 POST001 -
USER016 何文博 19900000016 hewenbo@example.org       DEPT012 POST003 ROLE001
USER017 高玉兰 19900000017 gaoyulan@example.org      DEPT012 POST002 -
USER018 罗欣   19900000018 luoxin@example.org        DEPT012 POST004 -
USER019 梁振宇 19900000019 liangzhenyu@example.org   DEPT002 POST001 -
USER020 宋子涵 19900000020 songzihan@example.org     DEPT002 POST003 ROLE001
USER021 郑凯   19900000021 zhengkai@example.org      DEPT002 POST003 -
USER022 谢春花 19900000022 xiechunhua@example.org    DEPT002 POST002 -
USER023 韩冰   19900000023 hanbing@example.org       DEPT002 POST004 -
USER024 唐立新 19900000024 tanglixin@example.org     DEPT003 POST001 ROLE002
USER025 冯雨桐 19900000025 fengyutong@example.org    DEPT003 POST003 ROLE001
USER026 董洁   19900000026 dongjie@example.org       DEPT003 POST002 -
USER027 萧逸凡 19900000027 xiaoyifan@example.org     DEPT003 POST004 -
USER028 程慧   19900000028 chenghui@example.org      DEPT300 POST004 ROLE004
USER029 曹丽娟 19900000029 caolijuan@example.org     DEPT300 POST004 -
USER030 袁明   19900000030 yuanming@example.org      DEPT400 POST005 -
USER031 邓晓彤 19900000031 dengxiaotong@example.org  DEPT401 POST005 ROLE002
USER032 许诺   19900000032 xunuo@example.org         DEPT401 POST005 -
USER033 傅国栋 19900000033 fuguodong@example.org     DEPT402 POST001 -
USER034 沈梦瑶 19900000034 shenmengyao@example.org   DEPT402 POST005 -
USER035 曾庆华 19900000035 zengqinghua@example.org   DEPT500 POST001 -
USER036 彭丹   19900000036 pengdan@example.org       DEPT500 POST006 ROLE004
USER037 吕文静 19900000037 lvwenjing@example.org     DEPT500 POST006 -
USER038 苏航   19900000038 suhang@example.org        DEPT600 POST001 ROLE003
USER039 卢俊杰 19900000039 lujunjie@example.org      DEPT600 POST007 ROLE003
USER040 蒋一鸣 19900000040 jiangyiming@example.org   DEPT600 POST007 -
USER041 蔡红   19900000041 caihong@example.org       DEPT700 POST001 -
USER042 贾秀英 -           jiaxiuying@example.org    DEPT700 POST008 -
USER043 丁志明 19900000043 -                         DEPT100 POST008 -
USER044 魏长河 19900000044 weichanghe@example.org    DEPT002 POST003 ROLE001`
const LEFT = 'USER044'

/**
 * Loads the sample hospital into a database that has no app yet; says whether it did. The app comes last, so that a
 * start that is cut short begins again next time.
 */
export async function loadSample({ db }: Pick<Store, 'db'>, log?: { info(text: string): void }): Promise<boolean> {
  const [known] = await query<{ id: string }>(db, sql`select id from apps limit 1`)
  if (known !== undefined) return false
  await putDepartments(db, tree(DEPARTMENTS))
  await putPosts(db, groups(POSTS))
  await putRoles(db, groups(ROLES))
  const { users, memberships } = people(PEOPLE)
  await putUsers(db, users)
  await putMemberships(db, memberships)
  await loadTemplates(db)
  await saveApp(db, APP)
  log?.info(`Sample hospital loaded: ${users.length} users, template ${REPORT.code}, app ${APP.id}`)
  return true
}

async function loadTemplates(db: Store['db']): Promise<void> {
  if ((await publishedTemplate(db, REPORT.code)) === undefined) await saveTemplate(db, REPORT)
  const { contents, variables, room, ...meeting } = MEETING
  const known = (await publishedTemplate(db, meeting.code))?.version ?? 0
  if (known < 1) await saveTemplate(db, { ...meeting, contents: contents('会议室'), variables: [...variables] })
  if (known < 2)
    await saveTemplate(db, { ...meeting, contents: contents('{{ room }}'), variables: [...variables, room] })
}

function lines(table: string): string[] {
  return table.split('\n').filter((line) => line !== '')
}

function groups(table: string): GroupRow[] {
  return lines(table).map((line) => {
    const [code = '', name = ''] = line.trim().split(/ +/)
    return { code, name }
  })
}

function tree(table: string): DepartmentRow[] {
  const above: string[] = []
  const depths = lines(table).map((line) => line.search(/\S/) / 2)
  return groups(table).map((group, at) => {
    const depth = depths[at] ?? 0
    above[depth] = group.code
    return { ...group, parentCode: above[depth - 1] ?? null }
  })
}

function people(table: string): { users: UserRow[]; memberships: MembershipRow[] } {
  const users: UserRow[] = []
  const memberships: MembershipRow[] = []
  for (const line of lines(table)) {
    const cells = line.split(/ +/).map((cell) => (cell === '-' ? '' : cell))
    const [code = '', name = '', phone, email, dept, post, role] = cells
    users.push({ code, name, phone, email, enabled: code !== LEFT })
    for (const [kind, groupCode] of Object.entries({ dept, post, role }))
      if (groupCode) memberships.push({ kind: kind as MembershipRow['kind'], groupCode, userCode: code })
  }
  return { users, memberships }
}
