/** Which column of a table says what, by the names that people give them in Chinese and English. */
import type { GroupKind } from '../db/tables.ts'
import { badInput } from '../errors.ts'

export type TableKind = 'user' | GroupKind

type Column = { field: string; isRight: (kind: TableKind) => boolean; names: string[] }

const always = () => true
const ofUsers = (kind: TableKind) => kind === 'user'
const ofDepts = (kind: TableKind) => kind === 'dept'
const ofGroup = (group: GroupKind) => (kind: TableKind) => kind === group

/** Names as `plain` leaves them. The first of each is the one that docs/directory.md names. */
const COLUMNS: Column[] = [
  { field: 'code', isRight: always, names: ['code', '编码', '编号', '代码'] },
  {
    field: 'code',
    isRight: ofUsers,
    names: ['usercode', '工号', '用户编码', '人员编码', '员工编号', '职工编号', '用户工号', '人员编号'],
  },
  {
    field: 'code',
    isRight: ofDepts,
    names: ['deptcode', 'departmentcode', '科室编码', '部门编码', '科室代码', '部门代码'],
  },
  { field: 'code', isRight: ofGroup('post'), names: ['postcode', '岗位编码', '岗位代码'] },
  { field: 'code', isRight: ofGroup('role'), names: ['rolecode', '角色编码', '角色代码'] },
  { field: 'name', isRight: always, names: ['name', '名称'] },
  { field: 'name', isRight: ofUsers, names: ['fullname', 'displayname', '姓名', '用户姓名', '人员姓名', '用户名称'] },
  { field: 'name', isRight: ofDepts, names: ['deptname', 'departmentname', '科室名称', '部门名称'] },
  { field: 'name', isRight: ofGroup('post'), names: ['postname', '岗位名称'] },
  { field: 'name', isRight: ofGroup('role'), names: ['rolename', '角色名称'] },
  {
    field: 'phone',
    isRight: ofUsers,
    names: [
      'phone',
      'mobile',
      'mobilephone',
      'phonenumber',
      '手机',
      '手机号',
      '手机号码',
      '电话',
      '联系电话',
      '移动电话',
    ],
  },
  { field: 'email', isRight: ofUsers, names: ['email', 'mail', '邮箱', '电子邮箱', '邮箱地址', '电子邮件', '邮件'] },
  { field: 'locale', isRight: ofUsers, names: ['locale', 'language', '语言'] },
  { field: 'timeZone', isRight: ofUsers, names: ['timezone', '时区'] },
  {
    field: 'depts',
    isRight: ofUsers,
    names: [
      'depts',
      'dept',
      'department',
      'departments',
      'deptcode',
      'departmentcode',
      '科室',
      '部门',
      '科室编码',
      '部门编码',
    ],
  },
  { field: 'posts', isRight: ofUsers, names: ['posts', 'post', 'postcode', '岗位', '岗位编码'] },
  { field: 'roles', isRight: ofUsers, names: ['roles', 'role', 'rolecode', '角色', '角色编码'] },
  {
    field: 'parentCode',
    isRight: ofDepts,
    names: [
      'parentcode',
      'parent',
      '上级',
      '上级编码',
      '上级部门',
      '上级科室',
      '上级部门编码',
      '上级科室编码',
      '父级编码',
    ],
  },
  { field: 'enabled', isRight: always, names: ['enabled', 'active', '启用', '是否启用', '状态', '在职', '是否在职'] },
  { field: 'externalId', isRight: always, names: ['externalid', '外部编号', '外部标识'] },
]
const LISTS = new Set(['depts', 'posts', 'roles'])
/** Between codes in one cell. No comma: a code may have one. */
const BETWEEN_CODES = /[|;；、]/
const YES = new Set(['1', 'y', 'yes', 'true', 'active', 'enabled', '是', '启用', '在职', '有效', '正常'])
const NO = new Set(['0', 'n', 'no', 'false', 'inactive', 'disabled', '否', '停用', '禁用', '离职', '无效'])
const DELIMITERS = [',', ';', '\t', '，', '；'] as const

export type Header = {
  /** Column by column what it says; undefined: nothing that is known here. */
  fields: (string | undefined)[]
  /** The names of those. */
  ignored: string[]
}
export type Wrong = { path: string; zh: string; en: string }

/** Upper and lower case, full-width letters, blanks and `_` make no difference. */
function plain(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[\s_*"'-]/g, '')
}

function fieldOf(kind: TableKind, name: string): string | undefined {
  const wanted = plain(name)
  return COLUMNS.find(({ isRight, names }) => isRight(kind) && names.includes(wanted))?.field
}

/** What stands between the cells, told by the first line: that which leaves the most names that are known. */
export function delimiterOf(kind: TableKind, firstLine: string): string {
  const known = (delimiter: string) =>
    firstLine.split(delimiter).filter((name) => fieldOf(kind, name) !== undefined).length
  return DELIMITERS.reduce((best, delimiter) => (known(delimiter) > known(best) ? delimiter : best))
}

/** Whether this first line names the codes, with whatever between its cells. */
export function isHeader(kind: TableKind, firstLine: string): boolean {
  return firstLine.split(delimiterOf(kind, firstLine)).some((name) => fieldOf(kind, name) === 'code')
}

/** Reads the first line; refuses one that does not name the codes, or names something twice. */
export function readHeader(kind: TableKind, cells: readonly string[]): Header {
  const fields = cells.map((name) => fieldOf(kind, name))
  const ignored = cells.filter((name, at) => fields[at] === undefined && name.trim() !== '')
  if (!fields.includes('code')) {
    const found = cells.join(', ').slice(0, 200)
    const [, zh = ''] = COLUMNS.filter(({ field, isRight }) => field === 'code' && isRight(kind)).at(-1)?.names ?? []
    throw badInput(
      '(file)',
      `第 1 行没有编码列，请命名为 code 或“${zh}”；现有：${found}`,
      `line 1 has no column of codes: name it code; it has: ${found}`,
    )
  }
  const twice = fields.find((field, at) => field !== undefined && fields.indexOf(field) !== at)
  if (twice !== undefined) {
    const names = cells.filter((_name, at) => fields[at] === twice).join(', ')
    throw badInput(
      '(file)',
      `第 1 行有多列都是 ${twice}：${names}`,
      `line 1 has several columns for ${twice}: ${names}`,
    )
  }
  return { fields, ignored }
}

/** A line as a row of the directory. What is `wrong` with it as a line comes along; its code does too, as far as it can be told. */
export function readCells(
  { fields }: Header,
  cells: readonly string[],
): { row: Record<string, unknown>; wrong?: Wrong | undefined } {
  const row: Record<string, unknown> = {}
  let wrong: Wrong | undefined
  for (const [at, field] of fields.entries()) {
    const cell = unwrapped(cells[at] ?? '')
    if (field === undefined) continue
    if (LISTS.has(field))
      row[field] = cell
        .split(BETWEEN_CODES)
        .map((code) => code.trim())
        .filter((code) => code !== '')
    else if (field === 'enabled' && cell !== '') {
      const word = plain(cell)
      row[field] = YES.has(word)
      if (!YES.has(word) && !NO.has(word)) wrong = noWord(cell)
    } else if (field !== 'enabled') row[field] = cell
  }
  const isShort = cells.length < fields.length
  const isLong = cells.slice(fields.length).some((cell) => cell.trim() !== '')
  if (isShort || isLong) wrong = misfit(cells.length, fields.length)
  return { row, wrong }
}

/** Excel's way to keep leading zeros: `="00123"`. */
function unwrapped(cell: string): string {
  const bare = cell.trim()
  return /^="(.*)"$/s.exec(bare)?.[1] ?? bare
}

function noWord(cell: string): Wrong {
  const word = cell.slice(0, 40)
  return {
    path: 'enabled',
    zh: `“${word}”看不出是否启用，请写 是 或 否`,
    en: `"${word}" says neither yes nor no`,
  }
}

function misfit(has: number, wanted: number): Wrong {
  return {
    path: '(line)',
    zh: `有 ${has} 个单元格，表头有 ${wanted} 个；含逗号的内容请加引号`,
    en: `has ${has} cells, the first line ${wanted}: quote cells that contain the delimiter`,
  }
}
