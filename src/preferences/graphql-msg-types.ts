/** Message types in GraphQL. */
import { byOf } from '../audit/audit.ts'
import { checkText } from '../check.ts'
import { builder } from '../graphql/builder.ts'
import { listMsgTypes, setMsgType, type MsgType } from './msg-types.ts'

const MsgTypeRef = builder.objectRef<MsgType>('MsgType').implement({
  description: 'A type that messages may have: one of the setting MSG_TYPES.',
  fields: (t) => ({
    code: t.exposeString('code', { description: 'What a push names, e.g. `reminder`.' }),
    name: t.exposeString('name', { nullable: true, description: 'What people are told it is. Null: its code.' }),
    isMandatory: t.exposeBoolean('isMandatory', { description: 'Nobody can switch it off.' }),
  }),
})

builder.queryField('msgTypes', (t) =>
  t.field({
    type: [MsgTypeRef],
    authScopes: { app: true, user: true, admin: true },
    description: 'The types that messages may have.',
    resolve: (_root, _args, { posthouse }) => listMsgTypes(posthouse),
  }),
)

builder.mutationField('setMsgType', (t) =>
  t.field({
    type: MsgTypeRef,
    authScopes: { admin: true },
    description:
      'Says of a message type what it is called, and whether it is mandatory. What is mandatory reaches also those who had switched it off; in quiet hours it waits like the rest, unless its priority is high.',
    args: {
      code: t.arg.string({ required: true, description: 'One of MSG_TYPES.' }),
      name: t.arg.string({ description: 'What people are told it is, at most 60 characters. Left out: its code.' }),
      isMandatory: t.arg.boolean({ required: true, description: 'Whether nobody can switch it off.' }),
    },
    resolve: (_root, { code, name, isMandatory }, context) => {
      checkText({ code, name })
      return setMsgType(context.posthouse, byOf(context), { code, name: name ?? null, isMandatory })
    },
  }),
)
