/** Single acts on users and groups in GraphQL, for the admin. */
import { byOf } from '../audit/audit.ts'
import { checkText } from '../check.ts'
import { badInput } from '../errors.ts'
import { builder } from '../graphql/builder.ts'
import { addToGroup, removeFromGroup, setEnabled } from './groups.ts'

/** Users in one call. */
const USERS_LIMIT = 1_000

export const GroupKindEnum = builder.enumType('GroupKind', {
  description: 'What a receiver can name instead of people.',
  values: {
    DEPT: { value: 'dept', description: 'A department, with those below it.' },
    POST: { value: 'post', description: 'A post.' },
    ROLE: { value: 'role', description: 'A role.' },
  } as const,
})

const EnabledPayload = builder.objectRef<{ isChanged: boolean }>('SetEnabledPayload').implement({
  description: 'What became of it.',
  fields: (t) => ({
    isChanged: t.exposeBoolean('isChanged', { description: 'False: it was so already.' }),
  }),
})

builder.mutationField('setUserEnabled', (t) =>
  t.field({
    type: EnabledPayload,
    authScopes: { admin: true },
    description:
      'Disables a user, or enables him again. Whoever is disabled gets nothing from the next fan-out on, his tokens are refused, and what he has open ends within seconds (4403).',
    args: {
      code: t.arg.string({ required: true, description: "The user's code." }),
      enabled: t.arg.boolean({ required: true, description: 'True: enabled.' }),
    },
    resolve: (_root, { code, enabled }, context) => {
      checkText(code, 'code')
      return setEnabled(context.posthouse.db, byOf(context), 'user', code, enabled)
    },
  }),
)

builder.mutationField('setGroupEnabled', (t) =>
  t.field({
    type: EnabledPayload,
    authScopes: { admin: true },
    description: 'Disables a group, or enables it again. A disabled one reaches nobody and counts as unknown.',
    args: {
      kind: t.arg({ type: GroupKindEnum, required: true, description: 'What it is.' }),
      code: t.arg.string({ required: true, description: 'Its code.' }),
      enabled: t.arg.boolean({ required: true, description: 'True: enabled.' }),
    },
    resolve: (_root, { kind, code, enabled }, context) => {
      checkText(code, 'code')
      return setEnabled(context.posthouse.db, byOf(context), kind, code, enabled)
    },
  }),
)

const GroupChangePayload = builder.objectRef<{ changed: number }>('GroupChangePayload').implement({
  description: 'What became of it.',
  fields: (t) => ({
    changed: t.exposeInt('changed', { description: 'How many joined or left; the others were so already.' }),
  }),
})

for (const { name, change, description } of [
  { name: 'addToGroup', change: addToGroup, description: 'Adds users to a group.' },
  { name: 'removeFromGroup', change: removeFromGroup, description: 'Takes users out of a group.' },
]) {
  builder.mutationField(name, (t) =>
    t.field({
      type: GroupChangePayload,
      authScopes: { admin: true },
      description: `${description} If a user or the group does not exist, nothing is changed.`,
      args: {
        kind: t.arg({ type: GroupKindEnum, required: true, description: 'What it is.' }),
        group: t.arg.string({ required: true, description: "The group's code." }),
        users: t.arg.stringList({ required: true, description: `Their codes, at most ${USERS_LIMIT}.` }),
      },
      resolve: async (_root, { kind, group, users }, context) => {
        checkText({ group, users })
        if (users.length > USERS_LIMIT)
          throw badInput('users', `超过上限 ${USERS_LIMIT} 个`, `are more than ${USERS_LIMIT}: send them in parts`)
        return { changed: await change(context.posthouse.db, byOf(context), kind, group, users) }
      },
    }),
  )
}
