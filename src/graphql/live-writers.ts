/**
 * Writers: from a type of the schema, and what is asked of it, to a function that writes a value as JSON. They complete
 * values as the executor does, with the same resolvers and scalars, and throw wherever it would report an error or wait.
 */
import {
  getArgumentValues,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  TypeNameMetaFieldDef,
  type FieldNode,
  type GraphQLAbstractType,
  type GraphQLField,
  type GraphQLLeafType,
  type GraphQLNullableOutputType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
} from 'graphql'
import { fieldsOf, NotAlike, type Nodes, type Shape, type Variables } from './live-selection.ts'

/** The JSON text of a value. Throws for what only the executor can answer, or has to report. */
export type Write = (value: unknown) => string

/** An operation of a schema, with the variables it came with. */
export type Asked = { schema: GraphQLSchema; fragments: Shape['fragments']; variables: Variables }

/** Texts longer than this are made anew each time: a remembered one stays as long as its operation. */
const REMEMBERED_LENGTH = 32_768

const isLookedAt = () => {
  throw new NotAlike('a resolver that looks at who is asking')
}
/** For context and info: a resolver that looks at them may answer each subscriber differently. */
const NOBODY: never = new Proxy(Object.create(null), {
  get: isLookedAt,
  set: isLookedAt,
  has: isLookedAt,
  ownKeys: isLookedAt,
  getPrototypeOf: isLookedAt,
  getOwnPropertyDescriptor: isLookedAt,
}) as never

/** Writes the answer to a root field from an event. Its arguments are of whoever subscribed. */
export function rootWriter(asked: Asked, parent: GraphQLObjectType, root: Nodes): Write {
  const field = fieldOf(asked, parent, root[0])
  const write = writerOf(asked, field.type, root)
  const { resolve } = field
  if (resolve === undefined) throw new NotAlike('an event that is not what is told')
  return (event) => write(resolve(event, NOBODY, NOBODY, NOBODY))
}

function writerOf(asked: Asked, type: GraphQLOutputType, nodes: Nodes): Write {
  const isRequired = isNonNullType(type)
  const write = writerOfPresent(asked, isRequired ? type.ofType : type, nodes)
  return (value) => {
    if (value != null) return write(value)
    if (isRequired) throw new Error('nothing where there must be something')
    return 'null'
  }
}

function writerOfPresent(asked: Asked, type: GraphQLNullableOutputType, nodes: Nodes): Write {
  if (isLeafType(type)) return leafWriter(type)
  if (isListType(type)) return listWriter(writerOf(asked, type.ofType, nodes))
  if (isObjectType(type)) return objectWriter(asked, type, nodes)
  return abstractWriter(asked, type, nodes)
}

/**
 * Remembers its last text, so that what a message says to all its recipients is made into JSON once. Of primitives only:
 * an object may have changed meanwhile.
 */
function leafWriter(type: GraphQLLeafType): Write {
  let last: unknown
  let lastText = ''
  return (value) => {
    if (value === last) return lastText
    const isObject = typeof value === 'object'
    const said: unknown = type.coerceOutputValue(isObject ? settled(value) : value)
    const text: string | undefined = said == null ? undefined : JSON.stringify(said)
    if (text === undefined) throw new Error(`no ${type.name}`)
    if (isObject || text.length > REMEMBERED_LENGTH) return text
    last = value
    return (lastText = text)
  }
}

function listWriter(write: Write): Write {
  return (values) => {
    if (!Array.isArray(values)) throw new Error('a list that is no array')
    let text = ''
    for (const value of values as unknown[]) text += text === '' ? write(value) : ',' + write(value)
    return `[${text}]`
  }
}

function abstractWriter(asked: Asked, type: GraphQLAbstractType, nodes: Nodes): Write {
  const { resolveType } = type
  if (resolveType == null) throw new NotAlike(`a ${type.name} that does not say what it is`)
  const writers = new Map(
    asked.schema.getPossibleTypes(type).map((possible) => [possible.name, objectWriter(asked, possible, nodes)]),
  )
  return (value) => {
    const write = writers.get(resolveType(value, NOBODY, NOBODY, type) as string)
    if (write === undefined) throw new Error(`no ${type.name}`)
    return write(value)
  }
}

function objectWriter(asked: Asked, type: GraphQLObjectType, nodes: Nodes): Write {
  // It could be asked with what is forbidden here, and takes no part in any type so far.
  if (type.isTypeOf != null) throw new NotAlike(`a ${type.name} that has to be recognised`)
  const writers = [...fieldsOf(asked.schema, type, nodes, asked.fragments, asked.variables)].map(([key, same], index) =>
    fieldWriter(asked, type, same, `${index === 0 ? '' : ','}${JSON.stringify(key)}:`),
  )
  return (value) => {
    const source = settled(value)
    let text = '{'
    for (const write of writers) text += write(source)
    return text + '}'
  }
}

/** Writes a field of a source, with its name. */
function fieldWriter(asked: Asked, parent: GraphQLObjectType, nodes: Nodes, key: string): (source: object) => string {
  const [node] = nodes
  const name = node.name.value
  if (name === TypeNameMetaFieldDef.name) {
    const text = key + JSON.stringify(parent.name)
    return () => text
  }
  const field = fieldOf(asked, parent, node)
  const { resolve } = field
  const write = writerOf(asked, field.type, nodes)
  if (resolve === undefined) {
    return (source) => {
      const value = (source as Record<string, unknown>)[name]
      if (typeof value === 'function') throw new Error('a source with methods')
      return key + write(value)
    }
  }
  const argumentsOf =
    field.args.length === 0 ? () => NO_ARGUMENTS : () => getArgumentValues(field, node, asked.variables)
  // Refused now rather than at each event.
  argumentsOf()
  return (source) => key + write(resolve(source, argumentsOf(), NOBODY, NOBODY))
}

const NO_ARGUMENTS = Object.freeze(Object.create(null) as Record<string, unknown>)

function fieldOf({ schema }: Asked, parent: GraphQLObjectType, node: FieldNode): GraphQLField<unknown, unknown> {
  const field = schema.getField(parent, node.name.value)
  if (field === undefined) throw new NotAlike(`a ${parent.name} without ${node.name.value}`)
  return field
}

const noted = () => {}

/** The same object, if it is neither something to wait for nor an error. */
function settled(value: unknown): object {
  if (typeof value !== 'object' || value === null || value instanceof Error) throw new Error('no object')
  const { then } = value as { then?: unknown }
  if (typeof then !== 'function') return value
  // Nobody will wait for this one: it must not end the process when it fails.
  then.call(value, noted, noted)
  throw new NotAlike('something to wait for')
}
