/** Who there is in GraphQL, for the admin. */
import { resolveCursorConnection } from '@pothos/plugin-relay'
import { checkText } from '../check.ts'
import { builder } from '../graphql/builder.ts'
import { forwardOnly, PAGE, readTextCursor } from '../graphql/paging.ts'
import { GroupKindEnum } from './graphql-groups.ts'
import { findUser, listGroups, listUsers, type ListedGroup, type ListedUser } from './list.ts'

const provisioned = {
  enabled: 'Whether anything reaches it.',
  externalId: 'Its id at an identity provider.',
  vanishedAt: 'Since when it is disabled because a sync did not name it.',
}

const UserGroup = builder.objectRef<ListedUser['groups'][number]>('UserGroup').implement({
  description: 'A group that a user is in himself, not by what stands above it.',
  fields: (t) => ({
    kind: t.expose('kind', { type: GroupKindEnum, description: 'What it is.' }),
    code: t.exposeString('code', { description: 'Its code.' }),
    name: t.exposeString('name', { description: 'Its name.' }),
  }),
})

const UserRef = builder.objectRef<ListedUser>('User').implement({
  description: 'Somebody who receives.',
  fields: (t) => ({
    code: t.exposeString('code', { description: 'The code by which receivers name him.' }),
    name: t.exposeString('name', { description: 'His name.' }),
    phone: t.exposeString('phone', { nullable: true, description: 'E.164.' }),
    email: t.exposeString('email', { nullable: true, description: 'His mail address.' }),
    locale: t.exposeString('locale', { nullable: true, description: 'BCP 47. Null: what a template says by default.' }),
    timeZone: t.exposeString('timeZone', { nullable: true, description: 'IANA. Null: the setting TIME_ZONE.' }),
    enabled: t.exposeBoolean('enabled', { description: provisioned.enabled }),
    externalId: t.exposeString('externalId', { nullable: true, description: provisioned.externalId }),
    vanishedAt: t.expose('vanishedAt', { type: 'DateTime', nullable: true, description: provisioned.vanishedAt }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When he was put. Broadcasts from then on are his.',
    }),
    changedAt: t.expose('changedAt', { type: 'DateTime', description: 'When anything of this last changed.' }),
    groups: t.expose('groups', { type: [UserGroup], description: 'The groups he is in himself.' }),
  }),
})

const GroupRef = builder.objectRef<ListedGroup>('Group').implement({
  description: 'What a receiver can name instead of people.',
  fields: (t) => ({
    kind: t.expose('kind', { type: GroupKindEnum, description: 'What it is.' }),
    code: t.exposeString('code', { description: 'The code by which receivers name it.' }),
    name: t.exposeString('name', { description: 'Its name.' }),
    parentCode: t.exposeString('parentCode', { nullable: true, description: 'The department above. Null: none.' }),
    enabled: t.exposeBoolean('enabled', { description: provisioned.enabled }),
    externalId: t.exposeString('externalId', { nullable: true, description: provisioned.externalId }),
    vanishedAt: t.expose('vanishedAt', { type: 'DateTime', nullable: true, description: provisioned.vanishedAt }),
    members: t.exposeInt('members', {
      description: 'How many users are in it themselves, disabled ones too; not those of what is below it.',
    }),
  }),
})

const GroupInput = builder.inputType('GroupOfUsers', {
  description: 'A group whose users are meant.',
  fields: (t) => ({
    kind: t.field({ type: GroupKindEnum, required: true, description: 'What it is.' }),
    code: t.string({ required: true, description: 'Its code.' }),
    withBelow: t.boolean({ description: 'True: also those of the departments below it.' }),
  }),
})

const UserFilterInput = builder.inputType('UserFilter', {
  description: 'Which users; all that is given must hold.',
  fields: (t) => ({
    search: t.string({ description: 'Stands in the code, name, phone or mail address, in either case.' }),
    enabled: t.boolean({ description: 'Only those who are enabled, or only those who are not.' }),
    group: t.field({ type: GroupInput, description: 'Only those in it.' }),
  }),
})

const GroupFilterInput = builder.inputType('GroupFilter', {
  description: 'Which groups; all that is given must hold.',
  fields: (t) => ({
    search: t.string({ description: 'Stands in the code or the name, in either case.' }),
    enabled: t.boolean({ description: 'Only those that are enabled, or only those that are not.' }),
    parentCode: t.string({ description: 'Only what is directly below that department. Empty: only the roots.' }),
  }),
})

builder.queryField('user', (t) =>
  t.field({
    type: UserRef,
    nullable: true,
    authScopes: { admin: true },
    description: 'One user. Null: there is none of that code.',
    args: { code: t.arg.string({ required: true, description: "The user's code." }) },
    resolve: async (_root, { code }, { posthouse }) => {
      checkText(code, 'code')
      return (await findUser(posthouse.db, code)) ?? null
    },
  }),
)

builder.queryField('users', (t) =>
  t.connection({
    type: UserRef,
    authScopes: { admin: true },
    description: 'The users, by code.',
    args: { filter: t.arg({ type: UserFilterInput, description: 'Only these.' }) },
    resolve: (_root, args, { posthouse }) => {
      checkText(args.filter, 'filter')
      return resolveCursorConnection<Promise<ListedUser[]>>(
        { args: forwardOnly(args), ...PAGE, toCursor: ({ code }: ListedUser) => code },
        ({ after, limit }) => listUsers(posthouse.db, args.filter ?? {}, { after: readTextCursor(after), limit }),
      )
    },
  }),
)

builder.queryField('groups', (t) =>
  t.connection({
    type: GroupRef,
    authScopes: { admin: true },
    description: 'The departments, posts or roles, by code.',
    args: {
      kind: t.arg({ type: GroupKindEnum, required: true, description: 'Which kind.' }),
      filter: t.arg({ type: GroupFilterInput, description: 'Only these.' }),
    },
    resolve: (_root, args, { posthouse }) => {
      checkText(args.filter, 'filter')
      return resolveCursorConnection<Promise<ListedGroup[]>>(
        { args: forwardOnly(args), ...PAGE, toCursor: ({ code }: ListedGroup) => code },
        ({ after, limit }) =>
          listGroups(posthouse.db, args.kind, args.filter ?? {}, { after: readTextCursor(after), limit }),
      )
    },
  }),
)
