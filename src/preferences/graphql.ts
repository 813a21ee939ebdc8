/** What people want, in GraphQL: each for oneself, the admin for anybody. */
import { byOf } from '../audit/audit.ts'
import { checkText } from '../check.ts'
import type { QuietHours } from '../db/tables.ts'
import { badInput } from '../errors.ts'
import { builder, type GraphqlContext } from '../graphql/builder.ts'
import { setQuietHours, setSwitch, type Changer } from './change.ts'
import { readPreferences, type ChannelPreference, type Preferences, type Switch } from './preferences.ts'
import { readQuietHours, WINDOWS_LIMIT } from './quiet.ts'
import { ALL } from './switches.ts'

const DayOfWeek = builder.enumType('DayOfWeek', {
  description: 'A day of the week.',
  values: {
    MONDAY: { value: 1, description: 'Monday.' },
    TUESDAY: { value: 2, description: 'Tuesday.' },
    WEDNESDAY: { value: 3, description: 'Wednesday.' },
    THURSDAY: { value: 4, description: 'Thursday.' },
    FRIDAY: { value: 5, description: 'Friday.' },
    SATURDAY: { value: 6, description: 'Saturday.' },
    SUNDAY: { value: 7, description: 'Sunday.' },
  } as const,
})

const FROM = 'When it begins, as `22:00`.'
const TO = 'When it ends, as `07:00`: on the day after, where that is not later than `from`.'

const QuietHoursRef = builder.objectRef<QuietHours>('QuietHours').implement({
  description: 'A time of the day at which SMS and e-mail below high priority wait.',
  fields: (t) => ({
    from: t.exposeString('from', { description: FROM }),
    to: t.exposeString('to', { description: TO }),
    days: t.field({
      type: [DayOfWeek],
      description: 'The days on which it begins.',
      resolve: ({ days }) => days as (1 | 2 | 3 | 4 | 5 | 6 | 7)[],
    }),
  }),
})

const nullIfAll = (value: string) => (value === ALL ? null : value)

const SwitchRef = builder.objectRef<Switch>('PreferenceSwitch').implement({
  description: 'Something that was switched on or off.',
  fields: (t) => ({
    msgType: t.string({
      nullable: true,
      description: 'The message type. Null: all types.',
      resolve: ({ msgType }) => nullIfAll(msgType),
    }),
    channelId: t.string({
      nullable: true,
      description: 'The channel. Null: all channels but the inbox.',
      resolve: ({ channelId }) => nullIfAll(channelId),
    }),
    isOn: t.exposeBoolean('isOn', { description: 'False: it is not wanted.' }),
  }),
})

const ChannelPreferenceRef = builder.objectRef<ChannelPreference>('ChannelPreference').implement({
  description: 'Whether messages of a type come to the person on a channel.',
  fields: (t) => ({
    msgType: t.exposeString('msgType', { description: 'The message type.' }),
    channelId: t.exposeString('channelId', { description: 'The channel.' }),
    isOn: t.exposeBoolean('isOn', { description: 'Whether they come.' }),
    canChange: t.exposeBoolean('canChange', {
      description: 'False: the type is mandatory, or it is the inbox, which is always on.',
    }),
  }),
})

const ChangedBy = builder.enumType('PreferencesChangedBy', {
  description: 'Who changed preferences.',
  values: {
    USER: { value: 'user', description: 'The person.' },
    ADMIN: { value: 'admin', description: 'An admin; the audit log has more.' },
    LINK: { value: 'link', description: 'Whoever followed the link of a mail, its program perhaps.' },
  } as const,
})

const PreferencesRef = builder.objectRef<Preferences>('Preferences').implement({
  description: 'What a person wants of SMS and e-mail. The inbox takes everything, and never waits.',
  fields: (t) => ({
    user: t.exposeString('user', { description: "The user's code." }),
    channels: t.expose('channels', {
      type: [ChannelPreferenceRef],
      description: 'What comes of all switches, for each type on each channel.',
    }),
    switches: t.expose('switches', {
      type: [SwitchRef],
      description:
        'What was switched. The one for type and channel counts first, then those for either, of which off wins, then that for all.',
    }),
    quietHours: t.expose('quietHours', { type: [QuietHoursRef], description: 'When SMS and e-mail wait.' }),
    timeZone: t.exposeString('zone', { description: 'The zone whose clock counts for that.' }),
    quietUntil: t.expose('quietUntil', {
      type: 'DateTime',
      nullable: true,
      description: 'When the quiet time ends that is now. Null: it is not quiet.',
    }),
    changedAt: t.expose('changedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When any of it was last changed. Null: never.',
    }),
    changedBy: t.expose('changedBy', { type: ChangedBy, nullable: true, description: 'By whom. Null: by nobody.' }),
  }),
})

const OF_WHOM = 'For the admin, who must name the user. A person is oneself.'

builder.queryField('preferences', (t) =>
  t.field({
    type: PreferencesRef,
    authScopes: { user: true, admin: true },
    description: 'What a person wants of SMS and e-mail.',
    args: { user: t.arg.string({ description: OF_WHOM }) },
    resolve: (_root, { user }, context) => readPreferences(context.posthouse, whose(context, user)),
  }),
)

builder.mutationField('setPreference', (t) =>
  t.field({
    type: PreferencesRef,
    authScopes: { user: true, admin: true },
    description:
      'Switches messages on or off, by type, by channel, or both. It counts from the next attempt to send on, also for what waits already. Refuses to switch off the inbox or a mandatory type.',
    args: {
      msgType: t.arg.string({ description: 'The message type. Left out: all types.' }),
      channelId: t.arg.string({ description: 'The channel. Left out: all channels but the inbox.' }),
      isOn: t.arg.boolean({ description: 'Null: takes the switch away, so that wider ones count again.' }),
      user: t.arg.string({ description: OF_WHOM }),
    },
    resolve: async (_root, { msgType, channelId, isOn, user }, context) => {
      checkText({ msgType, channelId })
      const person = whose(context, user)
      const wanted = { msgType: msgType ?? ALL, channelId: channelId ?? ALL, isOn: isOn ?? null }
      await setSwitch(context.posthouse, person, wanted, changerOf(context))
      return readPreferences(context.posthouse, person)
    },
  }),
)

const QuietHoursInput = builder.inputType('QuietHoursInput', {
  description: 'A time of the day at which SMS and e-mail below high priority wait.',
  fields: (t) => ({
    from: t.string({ required: true, description: FROM }),
    to: t.string({ required: true, description: TO }),
    days: t.field({ type: [DayOfWeek], description: 'The days on which it begins. Left out: every day.' }),
  }),
})

builder.mutationField('setQuietHours', (t) =>
  t.field({
    type: PreferencesRef,
    authScopes: { user: true, admin: true },
    description:
      'Sets when SMS and e-mail below high priority wait, in place of what was set before. What waits already keeps the time it was given.',
    args: {
      quietHours: t.arg({
        type: [QuietHoursInput],
        required: true,
        description: `At most ${WINDOWS_LIMIT}; none: they never wait. An hour of the week at least stays free.`,
      }),
      user: t.arg.string({ description: OF_WHOM }),
    },
    resolve: async (_root, { quietHours, user }, context) => {
      const person = whose(context, user)
      const windows = readQuietHours(quietHours, 'quietHours')
      await setQuietHours(context.posthouse.db, person, windows, changerOf(context))
      return readPreferences(context.posthouse, person)
    },
  }),
)

/** A person is oneself; the admin names somebody. */
function whose({ viewer }: GraphqlContext, user: string | null | undefined): string {
  checkText(user, 'user')
  if (viewer.kind !== 'user') {
    if (user != null) return user
    throw badInput('user', '管理员必填', 'is required of the admin')
  }
  if (user == null || user === viewer.code) return viewer.code
  throw badInput('user', '只能是自己', 'must be yourself, or left out')
}

function changerOf(context: GraphqlContext): Changer {
  return context.viewer.kind === 'admin' ? { changedBy: 'admin', audit: byOf(context) } : { changedBy: 'user' }
}
