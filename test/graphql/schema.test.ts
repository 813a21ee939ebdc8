import {
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isSpecifiedScalarType,
  type GraphQLArgument,
  type GraphQLField,
} from 'graphql'
import { describe, expect, it } from 'vitest'
import { schema } from '../../src/schema.ts'

const types = Object.values(schema.getTypeMap()).filter(
  (type) => !type.name.startsWith('__') && !isSpecifiedScalarType(type),
)
const doors = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
  Object.values(type?.getFields() ?? {}).map((field) => ({ name: `${type?.name}.${field.name}`, field })),
)

describe('the schema', () => {
  it.each(doors)('has a rule for who may ask on $name', ({ name, field }) => {
    const options = field.extensions['pothosOptions'] as { authScopes?: Record<string, boolean> } | undefined
    const rule = Object.entries(options?.authScopes ?? {}).filter(([, may]) => may)
    expect(rule, `${name} has no authScopes: say who may ask, e.g. authScopes: { user: true }`).not.toEqual([])
  })

  it('describes every type, field, argument and value, in sentences', () => {
    const bare: string[] = []
    const look = (name: string, { description }: { description?: string | null | undefined }) => {
      if (!/\S.*[.…:`?]$/s.test(description ?? '')) bare.push(`${name}: ${description ?? 'none'}`)
    }
    const lookAtField = (name: string, field: GraphQLField<unknown, unknown>) => {
      look(name, field)
      for (const arg of field.args as readonly GraphQLArgument[]) look(`${name}(${arg.name})`, arg)
    }
    for (const type of types) {
      look(type.name, type)
      if (isEnumType(type)) for (const value of type.getValues()) look(`${type.name}.${value.name}`, value)
      if (isInputObjectType(type))
        for (const field of Object.values(type.getFields())) look(`${type.name}.${field.name}`, field)
      if (isObjectType(type) || isInterfaceType(type))
        for (const field of Object.values(type.getFields())) lookAtField(`${type.name}.${field.name}`, field)
    }
    expect(bare).toEqual([])
  })

  it('pages every list that can grow: lists are edges, or bounded by what they belong to', () => {
    const bounded = [
      'MessageChannel',
      'PreviewChannel',
      // As many as a template has languages.
      'MessageTranslation',
      'PreviewLanguage',
      'PreviewExample',
      'QueueLane',
      'DeliveryFinding',
      'DeliveryEvent',
      'RecipientStep',
      'StateTotal',
      'InboxItem',
      'InboxChange',
      'ChannelRecall',
      // As many as there are apps, or configured types, with something unread.
      'InboxAppCounts',
      'InboxTypeCounts',
      // As many as the rows of one call, or a thousand of a run.
      'RowProblem',
      'DirectoryKind',
      // At most a thousand.
      'UserGroup',
      // As many as there are types, or types and channels, configured; ten.
      'MsgType',
      'PreferenceSwitch',
      'ChannelPreference',
      'QuietHours',
      'DayOfWeek',
      // As many as a template has.
      'DeclaredVariable',
      'TemplateProblem',
      'PreviewedChannel',
      'String',
    ]
    // At most twenty; twenty; at most a thousand.
    const few = ['RecallPayload.messages', 'App.keys', 'ItemsChanged.itemIds', 'ItemsChanged.marks']
    const unbounded = types
      .filter((type) => isObjectType(type))
      .flatMap((type) =>
        Object.values(type.getFields()).map((field) => ({ name: `${type.name}.${field.name}`, type: field.type })),
      )
      .filter(
        ({ name, type }) =>
          String(type).includes('[') &&
          !few.includes(name) &&
          !getNamedType(type).name.endsWith('Edge') &&
          !bounded.includes(getNamedType(type).name),
      )
    expect(unbounded).toEqual([])
  })
})
