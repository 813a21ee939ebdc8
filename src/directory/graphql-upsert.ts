/** Putting users and groups in GraphQL, for the admin. */
import { byOf } from '../audit/audit.ts'
import type { DirectoryKind, RowProblem } from '../db/tables.ts'
import { builder } from '../graphql/builder.ts'
import { BATCH_ROWS, upsert, type InputOf, type Upserted } from './upsert.ts'

export const RowProblemRef = builder.objectRef<RowProblem>('RowProblem').implement({
  description: 'What is wrong with one row, or to be looked at.',
  fields: (t) => ({
    line: t.exposeInt('line', { description: 'Which row, counted from 1; of a file its line.' }),
    code: t.exposeString('code', { description: 'Its code; empty when that cannot be told.' }),
    isRefused: t.exposeBoolean('isRefused', {
      description: 'The row was left out. False: it was taken, but look at it, e.g. since others have the same phone.',
    }),
    path: t.exposeString('path', { description: 'The field; empty for the row itself.' }),
    zh: t.exposeString('zh', { description: 'What is wrong, in Chinese.' }),
    en: t.exposeString('en', { description: 'What is wrong, in English.' }),
  }),
})

const UpsertPayload = builder.objectRef<Upserted>('UpsertPayload').implement({
  description: 'What became of the rows.',
  fields: (t) => ({
    created: t.exposeInt('created', { description: 'How many are new.' }),
    changed: t.exposeInt('changed', { description: 'How many were there and are now different.' }),
    unchanged: t.exposeInt('unchanged', { description: 'How many were already as the row says.' }),
    refused: t.exposeInt('refused', { description: 'How many are wrong and were left out.' }),
    isKept: t.exposeBoolean('isKept', {
      description: 'False: `allOrNothing` was asked for and a row was wrong, so nothing was changed.',
    }),
    problems: t.expose('problems', {
      type: [RowProblemRef],
      description: 'The rows that were refused or are to be looked at, by line. A row that is not here was kept.',
    }),
  }),
})

const stays = 'Absent: stays as it is; null: none.'
const enabledDescription =
  'Absent: stays as it is, and somebody new is enabled. False: reached by nothing any more, from the next fan-out on.'

const UserRowInput = builder.inputType('UserRowInput', {
  description: 'A user. What is absent stays as it is.',
  fields: (t) => ({
    code: t.string({ required: true, description: 'The code, at most 64 characters, compared exactly.' }),
    name: t.string({ required: true, description: 'The name.' }),
    phone: t.string({ description: `The mobile number, as people write it; kept in E.164. ${stays}` }),
    email: t.string({ description: `The mail address. ${stays}` }),
    locale: t.string({ description: `The language in BCP 47, e.g. \`zh-CN\`. ${stays}` }),
    timeZone: t.string({ description: `The IANA time zone, e.g. \`Asia/Shanghai\`. ${stays}` }),
    enabled: t.boolean({ description: enabledDescription }),
    externalId: t.string({ description: `The id at an identity provider. ${stays}` }),
    depts: t.stringList({ description: 'All departments of the person. Absent: stay as they are.' }),
    posts: t.stringList({ description: 'All posts of the person. Absent: stay as they are.' }),
    roles: t.stringList({ description: 'All roles of the person. Absent: stay as they are.' }),
  }),
})

const DepartmentRowInput = builder.inputType('DepartmentRowInput', {
  description: 'A department. What is absent stays as it is.',
  fields: (t) => ({
    code: t.string({ required: true, description: 'The code, at most 64 characters, compared exactly.' }),
    name: t.string({ required: true, description: 'The name.' }),
    parentCode: t.string({
      description: `The department above, which is there already or in the same call. ${stays}`,
    }),
    enabled: t.boolean({ description: enabledDescription }),
    externalId: t.string({ description: `The id at an identity provider. ${stays}` }),
  }),
})

const GroupRowInput = builder.inputType('GroupRowInput', {
  description: 'A post or a role. What is absent stays as it is.',
  fields: (t) => ({
    code: t.string({ required: true, description: 'The code, at most 64 characters, compared exactly.' }),
    name: t.string({ required: true, description: 'The name.' }),
    enabled: t.boolean({ description: enabledDescription }),
    externalId: t.string({ description: `The id at an identity provider. ${stays}` }),
  }),
})

const ROWS = { user: UserRowInput, dept: DepartmentRowInput, post: GroupRowInput, role: GroupRowInput }

function upsertField<Kind extends DirectoryKind>(name: string, kind: Kind, what: string) {
  builder.mutationField(name, (t) =>
    t.field({
      type: UpsertPayload,
      authScopes: { admin: true },
      description: `Creates or changes up to ${BATCH_ROWS} ${what}. Rows that are wrong are told and left out.`,
      args: {
        rows: t.arg({
          type: [ROWS[kind] as typeof UserRowInput],
          required: true,
          description: `The ${what}, each once.`,
        }),
        allOrNothing: t.arg.boolean({ description: 'Change nothing if any row is wrong.' }),
        run: t.arg.string({ description: 'The open sync that they are a batch of; the same batch twice is harmless.' }),
      },
      resolve: (_root, { rows, allOrNothing, run }, context) =>
        upsert(context.posthouse.store.patient, byOf(context), kind, rows as unknown as InputOf[Kind][], {
          allOrNothing,
          ...(run == null ? {} : { run }),
        }),
    }),
  )
}

upsertField('upsertUsers', 'user', 'users')
upsertField('upsertDepartments', 'dept', 'departments')
upsertField('upsertPosts', 'post', 'posts')
upsertField('upsertRoles', 'role', 'roles')
