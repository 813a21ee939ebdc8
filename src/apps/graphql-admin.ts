/** Apps in GraphQL, for the admin: who may push, with which keys, how much. */
import { resolveCursorConnection } from '@pothos/plugin-relay'
import { byOf } from '../audit/audit.ts'
import { checkText } from '../check.ts'
import type { Guard, RateLimit } from '../db/tables.ts'
import { builder } from '../graphql/builder.ts'
import { forwardOnly, PAGE, readTextCursor } from '../graphql/paging.ts'
import { findApp, type App } from './apps.ts'
import { AppCompat, AppCompatInput } from './graphql-compat.ts'
import { AppKeyRef, KeyKindRef } from './graphql-keys.ts'
import { grantForms } from './grants.ts'
import {
  createApp,
  createAppKey,
  keysOf,
  listApps,
  revokeAppKey,
  setAppEnabled,
  updateApp,
  type AppWords,
  type MadeKey,
} from './keep.ts'

/** Live keys are two at most; of those that have ended the newest are told. */
const KEYS_TOLD = 20
const GRANTS = `What it may do: ${grantForms.map(({ example, about }) => `\`${example}\` (${about})`).join('; ')}.`

const RateLimitRef = builder.objectRef<RateLimit>('RateLimit').implement({
  description: 'How often an app may push, over all nodes together; beyond it pushes are refused as RATE_LIMITED.',
  fields: (t) => ({
    perSecond: t.exposeFloat('perSecond', { description: 'Pushes a second on average.' }),
    burst: t.exposeInt('burst', { description: 'Pushes at once.' }),
  }),
})

const RateLimitInput = builder.inputType('RateLimitInput', {
  description: 'How often an app may push, over all nodes together.',
  fields: (t) => ({
    perSecond: t.float({ required: true, description: 'Pushes a second on average; over 0, at most 100000.' }),
    burst: t.int({ required: true, description: 'Pushes at once; 1 to 100000.' }),
  }),
})

const guardAbout = {
  recipients: 'Above so many recipients. Null: however many.',
  smsSegmentsPerDay: "When the SMS segments of the push's day would come to more than this. Null: however many.",
}
const GuardRef = builder.objectRef<Guard>('Guard').implement({
  description: 'When a push needs the confirmation that `previewPush` gives out.',
  fields: (t) => ({
    recipients: t.exposeInt('recipients', { nullable: true, description: guardAbout.recipients }),
    smsSegmentsPerDay: t.exposeInt('smsSegmentsPerDay', {
      nullable: true,
      description: guardAbout.smsSegmentsPerDay,
    }),
  }),
})

const GuardInput = builder.inputType('GuardInput', {
  description: 'When a push needs the confirmation that `previewPush` gives out.',
  fields: (t) => ({
    recipients: t.int({ description: guardAbout.recipients }),
    smsSegmentsPerDay: t.int({ description: guardAbout.smsSegmentsPerDay }),
  }),
})

const AppRef = builder.objectRef<App>('App').implement({
  description: 'A backend system that pushes.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'The documented `appId`.' }),
    name: t.exposeString('name', { description: 'What people call it.' }),
    enabled: t.exposeBoolean('enabled', { description: 'Whether it is let in.' }),
    grants: t.exposeStringList('grants', { description: GRANTS }),
    compat: t.expose('compat', {
      type: AppCompat,
      description: 'How it wants the documented calls read and answered.',
    }),
    legacyFrom: t.exposeStringList('legacyFrom', {
      nullable: true,
      description: 'Addresses from which its `appId` alone is enough (legacy mode). Null: never.',
    }),
    rateLimit: t.expose('rateLimit', {
      type: RateLimitRef,
      nullable: true,
      description: 'How often it may push. Null: as often as it likes.',
    }),
    guard: t.expose('guard', {
      type: GuardRef,
      nullable: true,
      description: 'When a push of it needs a confirmation. Null: never.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    keys: t.field({
      type: [AppKeyRef],
      description: `Its keys, the live ones first; at most ${KEYS_TOLD}.`,
      resolve: ({ id }, _args, { posthouse }) => keysOf(posthouse.db, id, KEYS_TOLD),
    }),
  }),
})

builder.queryField('app', (t) =>
  t.field({
    type: AppRef,
    nullable: true,
    authScopes: { admin: true },
    description: 'One app; null when there is none of that id.',
    args: { id: t.arg.string({ required: true, description: 'Its `appId`.' }) },
    resolve: async (_root, { id }, { posthouse }) => {
      checkText(id, 'id')
      return (await findApp(posthouse.db, id)) ?? null
    },
  }),
)

builder.queryField('apps', (t) =>
  t.connection({
    type: AppRef,
    authScopes: { admin: true },
    description: 'All apps, by id.',
    resolve: (_root, args, { posthouse }) =>
      resolveCursorConnection<Promise<App[]>>(
        { args: forwardOnly(args), ...PAGE, toCursor: ({ id }: App) => id },
        ({ after, limit }) => listApps(posthouse.db, readTextCursor(after), limit),
      ),
  }),
)

type MadeApp = MadeKey & { app: App }
const MadeKeyRef = builder.objectRef<MadeApp>('MadeAppKey').implement({
  description: 'A key that was just made. Its secret is told here and never again.',
  fields: (t) => ({
    app: t.expose('app', { type: AppRef, description: 'Whose it is.' }),
    keyId: t.exposeString('keyId', { description: 'What the key is called in lists.' }),
    kind: t.expose('kind', { type: KeyKindRef, description: 'What it is good for, and nothing else.' }),
    bearer: t.exposeString('bearer', {
      description:
        'The whole key, `ph_<keyId>_<secret>`, for `Authorization: Bearer …`. Keep it now: it is not told again.',
    }),
    secret: t.exposeString('secret', { description: 'The last part of the key, which a signing key signs with.' }),
  }),
})

const CreateAppInput = builder.inputType('CreateAppInput', {
  description: 'A new app.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'The documented `appId`: 1 to 64 letters, digits or `. _ -`.' }),
    name: t.string({ required: true, description: 'What people call it.' }),
    grants: t.stringList({ required: true, description: GRANTS }),
    compat: t.field({ type: AppCompatInput, description: 'How it wants the documented calls read and answered.' }),
    legacyFrom: t.stringList({
      description: 'Addresses (IPv4, IPv6, CIDR) from which its `appId` alone is enough. Without it: never.',
    }),
    rateLimit: t.field({
      type: RateLimitInput,
      description: 'How often it may push. Without it: as often as it likes.',
    }),
    guard: t.field({ type: GuardInput, description: 'When a push needs a confirmation. Without it: never.' }),
    keyKind: t.field({ type: KeyKindRef, description: 'What its first key is good for. Without it: BEARER.' }),
  }),
})

const UpdateAppInput = builder.inputType('UpdateAppInput', {
  description: 'What to change of an app. What is left out stays as it is.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'Its `appId`.' }),
    name: t.string({ description: 'What people call it.' }),
    grants: t.stringList({ description: `All of its grants from now on. ${GRANTS}` }),
    compat: t.field({ type: AppCompatInput, description: 'All of its switches from now on.' }),
    legacyFrom: t.stringList({ description: 'Addresses from which its `appId` alone is enough; null: never again.' }),
    rateLimit: t.field({ type: RateLimitInput, description: 'How often it may push; null: as often as it likes.' }),
    guard: t.field({ type: GuardInput, description: 'When a push needs a confirmation; null: never.' }),
  }),
})

/** Null means "none" where there can be none, and otherwise the same as leaving it out. */
function wordsOf<Given extends { [Name in keyof AppWords]?: unknown }>({ name, grants, compat, ...given }: Given) {
  const words = {
    ...given,
    name: name ?? undefined,
    grants: grants ?? undefined,
    compat: compat ?? undefined,
  } as AppWords
  const { guard } = words
  if (guard == null) return words
  return {
    ...words,
    guard: { recipients: guard.recipients ?? null, smsSegmentsPerDay: guard.smsSegmentsPerDay ?? null },
  }
}

builder.mutationField('createApp', (t) =>
  t.field({
    type: MadeKeyRef,
    authScopes: { admin: true },
    description: 'Makes an app with its first key, whose secret is told this once.',
    args: { input: t.arg({ type: CreateAppInput, required: true, description: 'The app.' }) },
    resolve: async (_root, { input }, context) => {
      checkText(input, 'input')
      const { id, name, grants, keyKind, ...more } = input
      const words = { ...wordsOf(more), name, grants: [...grants] }
      const made = await createApp(context.posthouse.db, byOf(context), id, words, keyKind ?? 'bearer')
      return { ...made, app: await appOf(context.posthouse.db, id) }
    },
  }),
)

builder.mutationField('updateApp', (t) =>
  t.field({
    type: AppRef,
    authScopes: { admin: true },
    description: 'Changes an app; it holds on every node within a second.',
    args: { input: t.arg({ type: UpdateAppInput, required: true, description: 'What to change.' }) },
    resolve: (_root, { input }, context) => {
      checkText(input, 'input')
      const { id, ...given } = input
      return updateApp(context.posthouse.db, byOf(context), id, wordsOf(given))
    },
  }),
)

builder.mutationField('setAppEnabled', (t) =>
  t.field({
    type: AppRef,
    authScopes: { admin: true },
    description: 'Lets an app in or keeps it out, on every node within a second. What it pushed goes on either way.',
    args: {
      id: t.arg.string({ required: true, description: 'Its `appId`.' }),
      enabled: t.arg.boolean({ required: true, description: 'Whether it is let in.' }),
    },
    resolve: (_root, { id, enabled }, context) => {
      checkText(id, 'id')
      return setAppEnabled(context.posthouse.db, byOf(context), id, enabled)
    },
  }),
)

builder.mutationField('createAppKey', (t) =>
  t.field({
    type: MadeKeyRef,
    authScopes: { admin: true },
    description:
      'Makes a second key for an app, to change over without a break: make one, let the app use it, revoke the old one. Two live keys are the most.',
    args: {
      id: t.arg.string({ required: true, description: 'Its `appId`.' }),
      kind: t.arg({ type: KeyKindRef, description: 'What it is good for. Without it: BEARER.' }),
    },
    resolve: async (_root, { id, kind }, context) => {
      checkText(id, 'id')
      const made = await createAppKey(context.posthouse.db, byOf(context), id, kind ?? 'bearer')
      return { ...made, app: await appOf(context.posthouse.db, id) }
    },
  }),
)

builder.mutationField('revokeAppKey', (t) =>
  t.field({
    type: AppRef,
    authScopes: { admin: true },
    description: 'Ends a key, on every node within a second. Doing it again changes nothing.',
    args: {
      keyId: t.arg.string({ required: true, description: 'The part of the key that names it: `ph_<keyId>_…`.' }),
    },
    resolve: async (_root, { keyId }, context) => {
      checkText(keyId, 'keyId')
      return appOf(context.posthouse.db, await revokeAppKey(context.posthouse.db, byOf(context), keyId))
    },
  }),
)

async function appOf(db: Parameters<typeof findApp>[0], id: string): Promise<App> {
  const app = await findApp(db, id)
  if (app === undefined) throw new Error(`app ${id} is gone, though apps are never removed`)
  return app
}
