/**
 * What one operation may ask, whoever asks and by whichever way it comes: the text is measured as it is read, its shape
 * once per text, and what it may cost each time, since that depends on its variables. Every refusal says the limit and how far over it was.
 */
import { complexityFromQuery } from '@pothos/plugin-complexity'
import {
  getNamedType,
  getOperationAST,
  GraphQLError,
  Kind,
  NoSchemaIntrospectionCustomRule,
  parse,
  validate,
  visit,
  type ASTNode,
  type DocumentNode,
  type ExecutionArgs,
  type GraphQLOutputType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type ValidationContext,
  type ValidationRule,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { LRUCache } from 'lru-cache'
import { badInput, Refusal } from '../errors.ts'
import { PAGE } from './paging.ts'

export const LIMITS = {
  /** UTF-16 units of the text; a WebSocket message has room for little more. Long values belong into variables. */
  characters: 60_000,
  /** GraphiQL's introspection has some 400. */
  tokens: 3_000,
  /** Fields inside each other. Today's schema has no circles, so nobody gets there; introspection has a limit of its own. */
  depth: 10,
  /** Fields at the root: each is a question of its own, or an act. */
  rootFields: 20,
  aliases: 150,
  directives: 50,
  /** About how many fields the answer may have: those of a list count for each entry that it may give. */
  cost: 20_000,
  /** How long an operation over HTTP or a socket may take; a subscription has no end. */
  seconds: 30,
}
/** What a list counts for that is not paged: channels of a message, keys of an app. */
const SHORT_LIST = 5
/** Texts that are remembered with what they parse to, all of them together, in characters; a tree takes some forty times that. */
const REMEMBERED = 1024 * 1024

/** What each field costs, told to Pothos, which adds up. Its own check is off: it would look inside each root field. */
export const complexity = {
  disabled: true,
  fieldComplexity: (
    args: Record<string, unknown>,
    _context: object,
    field: { name: string; type: GraphQLOutputType },
  ) => {
    if (field.name === 'edges') return { field: 0, multiplier: 1 }
    if (getNamedType(field.type).name.endsWith('Connection')) return { field: 1, multiplier: pageSize(args) }
    return { field: 1, multiplier: String(field.type).startsWith('[') ? SHORT_LIST : 1 }
  },
}

function pageSize({ first, last }: Record<string, unknown>): number {
  const asked = typeof first === 'number' ? first : typeof last === 'number' ? last : PAGE.defaultSize
  return Math.min(Math.max(asked, 1), PAGE.maxSize)
}

/** What Yoga remembers of texts, bounded by their length: of many long ones it would keep gigabytes. */
export function rememberedTexts() {
  const remember = <Kept extends object>() =>
    new LRUCache<string, Kept>({ maxSize: REMEMBERED, sizeCalculation: (_kept, text) => text.length + 1 })
  return { documentCache: remember<DocumentNode>(), errorCache: remember<Error>() }
}

/** Holds operations to the limits. `tellsSchema`: introspection is answered, and mistakes get suggestions. */
export function limits({ tellsSchema }: { tellsSchema: boolean }): Plugin {
  const words = { fix: 'put long values into variables', fixZh: '请把长内容放进 variables' }
  const rules = [shapeRule, ...(tellsSchema ? [] : [NoSchemaIntrospectionCustomRule])]
  return {
    onParse({ params, setParseFn }) {
      const { length } = params.source.toString()
      if (length > LIMITS.characters) throw over('characters', length, words)
      setParseFn((source, options) => {
        try {
          return parse(source, { ...options, maxTokens: LIMITS.tokens })
        } catch (error) {
          throw String(error).includes('Document contains more than') ? over('tokens', undefined, words) : asOurs(error)
        }
      })
    },
    onValidate({ addValidationRule, setValidationFn }) {
      for (const rule of rules) addValidationRule(rule)
      // As graphql 17 takes them: the options come fourth.
      setValidationFn((...[schema, document, all]) =>
        validate(schema as GraphQLSchema, document as DocumentNode, all as ValidationRule[], {
          hideSuggestions: !tellsSchema,
        }).map(asOurs),
      )
    },
    onExecute({ args, executeFn, setExecuteFn }) {
      checkWeight(args)
      setExecuteFn((toDo) => inTime(executeFn(toDo)))
    },
    onSubscribe({ args }) {
      checkWeight(args)
    },
  }
}

/** Root fields, aliases and directives of the whole text. Fragments count once. */
function shapeRule(context: ValidationContext): object {
  return {
    Document(document: DocumentNode) {
      const counted = { aliases: 0, directives: 0 }
      visit(document, {
        Field: ({ alias }) => void (alias && counted.aliases++),
        Directive: () => void counted.directives++,
      })
      const roots = document.definitions.map((definition) =>
        definition.kind === Kind.OPERATION_DEFINITION ? rootFields(definition, context) : 0,
      )
      const found = { ...counted, rootFields: Math.max(0, ...roots) }
      for (const [what, number] of Object.entries(found) as [keyof typeof found, number][]) {
        if (number > LIMITS[what]) context.reportError(told(over(what, number)))
      }
    },
  }
}

/** What graphql-js finds wrong is the caller's, as all bad input is. */
function asOurs<Thrown>(error: Thrown): Thrown {
  if (error instanceof GraphQLError) error.extensions['code'] ??= 'BAD_INPUT'
  return error
}

/** As Yoga tells what a rule found: as it stands. */
function told({ message, code, path: field }: Refusal): GraphQLError {
  return new GraphQLError(message, { extensions: { code, field } })
}

function rootFields(operation: ASTNode, context: ValidationContext): number {
  const seen = new Set<string>()
  const count = (node: ASTNode): number => {
    if (node.kind === Kind.FIELD) return 1
    if (node.kind === Kind.FRAGMENT_SPREAD) {
      if (seen.has(node.name.value)) return 0
      seen.add(node.name.value)
      const fragment = context.getFragment(node.name.value)
      return fragment ? count(fragment) : 0
    }
    const selections = 'selectionSet' in node ? (node.selectionSet?.selections ?? []) : []
    return selections.reduce((sum, selection) => sum + count(selection), 0)
  }
  return count(operation)
}

/** Refuses an operation that goes too deep, or whose answer may get too large. */
export function checkWeight({
  schema,
  document,
  operationName,
  variableValues,
}: Pick<ExecutionArgs, 'schema' | 'document' | 'operationName' | 'variableValues'>): void {
  const { cost, depth } = weigh(schema, document, operationName, variableValues)
  if (depth > LIMITS.depth) throw over('depth', depth)
  if (cost > LIMITS.cost)
    throw over('cost', cost, { fix: 'ask for fewer entries (first) or fields', fixZh: '请减少条数（first）或字段' })
}

type Weight = { cost: number; depth: number }

/** Of operations whose cost does not hang on their variables: reading these, ten thousand rows perhaps, takes its time. */
const known = new WeakMap<OperationDefinitionNode, Weight>()

/** Nothing for what cannot be told, since the variables are wrong: the executor says so. */
export function weigh(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName?: string | null,
  variables?: { readonly [name: string]: unknown } | null,
): Weight {
  const operation = getOperationAST(document, operationName)
  if (operation == null) return { cost: 0, depth: 0 }
  const before = known.get(operation)
  if (before !== undefined) return before
  const fragments = document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION)
  const alone: DocumentNode = { kind: Kind.DOCUMENT, definitions: [operation, ...fragments] }
  let weight: Weight
  try {
    const { complexity: cost, depth } = complexityFromQuery(alone, { schema, variables: { ...variables } })
    weight = { cost, depth }
  } catch {
    return { cost: 0, depth: 0 }
  }
  if (!hasPagesByVariable(alone)) known.set(operation, weight)
  return weight
}

function hasPagesByVariable(document: DocumentNode): boolean {
  let has = false
  visit(document, {
    Argument: ({ name, value }) => void (has ||= /^(first|last)$/.test(name.value) && value.kind === Kind.VARIABLE),
  })
  return has
}

/** What takes longer is told as such, and answered nowhere; the database ends its statements by itself. */
async function inTime<Result>(result: Result | Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new Refusal('UNAVAILABLE', {
            zh: `操作超过 ${LIMITS.seconds} 秒`,
            en: `the operation took more than ${LIMITS.seconds} s`,
          }),
        ),
      LIMITS.seconds * 1000,
    )
  })
  return Promise.race([result, late]).finally(() => clearTimeout(timer))
}

const WORDS: Record<Exclude<keyof typeof LIMITS, 'seconds'>, [zh: string, en: string]> = {
  characters: ['字符', 'characters'],
  tokens: ['词元', 'tokens'],
  depth: ['层', 'levels of fields'],
  rootFields: ['个根字段', 'root fields'],
  aliases: ['个别名', 'aliases'],
  directives: ['个指令', 'directives'],
  cost: ['估计字段', 'fields in the answer, as estimated'],
}

function over(
  what: keyof typeof WORDS,
  number?: number,
  { fix, fixZh } = { fix: 'ask for less at once', fixZh: '请减少一次查询的内容' },
) {
  const [zh, en] = WORDS[what]
  const counted = {
    zh: number === undefined ? '' : `（现为 ${number}）`,
    en: number === undefined ? '' : ` (it has ${number})`,
  }
  return badInput(
    'query',
    `最多 ${LIMITS[what]} ${zh}${counted.zh}，${fixZh}`,
    `may have at most ${LIMITS[what]} ${en}${counted.en}: ${fix}`,
  )
}
