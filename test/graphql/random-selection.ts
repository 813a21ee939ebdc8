/** Random legal selections of a type of a schema, and random events of the live inbox. */
import fc, { type GeneratorValue } from 'fast-check'
import {
  getNamedType,
  isCompositeType,
  isObjectType,
  isUnionType,
  type GraphQLNamedType,
  type GraphQLSchema,
} from 'graphql'
import type { Item } from '../../src/inbox/inbox.ts'
import type { InboxEvent } from '../../src/inbox/events.ts'
import type { Change } from '../../src/inbox/since.ts'

/** Boolean variables of every operation made here. */
export const VARIABLES = '$yes: Boolean!, $no: Boolean!'

const DIRECTIVES = [
  '',
  '',
  '',
  '',
  '@skip(if: $yes)',
  '@skip(if: $no)',
  '@include(if: $yes)',
  '@include(if: $no) @skip(if: false)',
]
/** Names that mean something to JavaScript. */
const ALIASES = ['', 'kind: ', 'toJSON: ', 'constructor: ', '__proto__: ']

/** A selection set of a type, and the fragments it spreads. */
export function anySelection(gen: GeneratorValue, schema: GraphQLSchema, typeName: string) {
  const fragments: string[] = []
  const oneOf = <Value>(values: readonly Value[]) => values[gen(fc.nat, { max: values.length - 1 })] as Value

  function selections(type: GraphQLNamedType, depth: number): string {
    const several = Array.from({ length: gen(fc.integer, { min: 1, max: 4 }) }, () => selection(type, depth))
    return `{ ${several.join(' ')} }`
  }

  function selection(type: GraphQLNamedType, depth: number): string {
    const directive = oneOf(DIRECTIVES)
    const within = isUnionType(type) ? oneOf([...type.getTypes(), type]) : type
    const shape =
      depth > 6 ? 'name' : oneOf(['field', 'field', 'field', 'field', 'inline', 'bare', 'spread', 'name'] as const)
    if (shape === 'inline' || (shape === 'field' && within !== type)) {
      return `... on ${within.name} ${directive} ${selections(within, depth + 1)}`
    }
    if (shape === 'bare') return `... ${directive} ${selections(type, depth + 1)}`
    if (shape === 'spread') {
      const own = selections(within, depth + 1)
      fragments.push(`fragment F${fragments.length} on ${within.name} ${own}`)
      return `...F${fragments.length - 1} ${directive}`
    }
    if (shape === 'name' || !isObjectType(type)) return `${oneOf(ALIASES)}__typename ${directive}`
    const field = oneOf(Object.values(type.getFields()))
    const below = getNamedType(field.type)
    const alias = oneOf(['', '', `a_${field.name}: `])
    return `${alias}${field.name} ${directive} ${isCompositeType(below) ? selections(below, depth + 1) : ''}`
  }

  const asked = selections(schema.getType(typeName) as GraphQLNamedType, 0)
  return { asked, fragments: fragments.join('\n') }
}

const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('会诊通知', '"\\\n\u2028\ud800', '', '<p>a</p>'))
const code = fc.oneof(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }), fc.constantFrom('zhangsan', '张三'))
const id = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 32, maxLength: 32 })
const date = fc.date({ min: new Date('1970-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
const maybeDate = fc.option(date)
const count = fc.nat({ max: 3 })

const state = fc.record({
  id: id,
  rev: fc.nat(),
  counts: fc.record({
    unread: fc.nat(),
    unseen: fc.nat(),
    facets: fc.dictionary(
      fc.tuple(fc.constantFrom('u', 's'), fc.constantFrom('notice', 'reminder'), code).map((parts) => parts.join('/')),
      count,
    ),
  }),
})

const change = fc.constantFrom(
  'seen',
  'read',
  'unread',
  'archived',
  'unarchived',
  'snoozed',
  'woken',
  'deleted',
  'recalled',
)

const item: fc.Arbitrary<Item> = fc.record({
  userCode: code,
  messageId: id,
  rev: fc.nat(),
  createdRev: fc.nat(),
  change: change as fc.Arbitrary<Item['change']>,
  changedAt: date,
  appId: code,
  msgType: fc.constantFrom('notice', 'reminder'),
  createdAt: date,
  seenAt: maybeDate,
  readAt: maybeDate,
  archivedAt: maybeDate,
  snoozedUntil: maybeDate,
  expiresAt: maybeDate,
  deletedAt: maybeDate,
  content: fc.record(
    { title: text, content: text, text, website: text },
    { requiredKeys: ['title', 'content', 'text'] },
  ),
  senderCode: fc.option(code),
  senderName: fc.option(text),
  businessId: fc.option(text),
  priority: fc.constantFrom(1, 2, 3),
})

const changed: fc.Arbitrary<Change> = fc
  .tuple(
    item,
    fc.record({
      at: fc.nat(),
      isNew: fc.boolean(),
      messageIds: fc.array(id, { minLength: 1, maxLength: 5 }),
      marks: fc.array(item, { maxLength: 5 }),
    }),
  )
  .map(([it, more]) => ({ ...it, ...more }))

/** Any event of the live inbox. */
export const anyEvent: fc.Arbitrary<InboxEvent> = fc.oneof(
  fc.record({
    type: fc.constant('InboxSnapshot'),
    state,
    items: fc.array(item, { maxLength: 3 }),
    hasMore: fc.boolean(),
    rev: code,
  }),
  fc.record({ type: fc.constant('ItemChanged'), state, item: changed, rev: code }),
  fc.record({ type: fc.constant('ItemsChanged'), state, change: changed, rev: code }),
  fc.record({ type: fc.constant('ItemGone'), state, item, reason: fc.constantFrom('deleted', 'recalled'), rev: code }),
  fc.record({ type: fc.constant('InboxLagged'), why: fc.constantFrom('tooFarBehind', 'ahead'), rev: code }),
  fc.record({ type: fc.constant('InboxCaughtUp'), rev: code }),
) as fc.Arbitrary<InboxEvent>
