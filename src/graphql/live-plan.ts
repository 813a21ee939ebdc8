/**
 * One rendering for all who subscribed alike. The same event goes to many subscribers, and most of them ask with the
 * same words: what the executor would do for each is planned once for an operation, and done once for an event.
 * docs/decisions/0017.
 */
import { getVariableValues, type DocumentNode, type GraphQLSchema } from 'graphql'
import { NotAlike, shapeOf, type Shape } from './live-selection.ts'
import { rootWriter, type Write } from './live-writers.ts'

/** Operations that are remembered: front ends have a few. Beyond that the one longest unused is planned anew. */
const PLANS = 500

/** How to write what an operation answers to an event, whoever subscribed. */
export type Plan = {
  /** The root field. */
  field: string
  /** Its name in answers. */
  responseKey: string
  write: Write
  /** Found out on the way that this operation is never alike for all: the executor is asked at once. */
  isHopeless: boolean
}

const shapes = new WeakMap<DocumentNode, Map<string, Shape | undefined>>()
const plans = new WeakMap<GraphQLSchema, Map<string, Plan | undefined>>()

/**
 * The plan for a valid operation, the same one for all who ask alike: what counts is the words and the variables below
 * the root field. Undefined for what only the executor can answer: it has more than a subscription's one field, or
 * directives besides skip and include.
 */
export function planOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName: string | null | undefined,
  variables: Readonly<Record<string, unknown>> | null | undefined,
): Plan | undefined {
  const shape = remembered(shapes, document, operationName ?? '', () => shapeOf(document, operationName))
  if (shape === undefined) return undefined
  const given = Object.fromEntries(
    shape.variables.flatMap((name) => (variables && Object.hasOwn(variables, name) ? [[name, variables[name]]] : [])),
  )
  const key = JSON.stringify([shape.text, operationName, given])
  return remembered(plans, schema, key, () => makePlan(schema, shape, given))
}

/**
 * What was written of an event stays with it, and goes with it: a WeakMap costs as much as the writing. `text` null: only
 * the executor can answer.
 */
const TOLD = Symbol('told')
type Told = { plan: Plan; text: string | null; others: Told | undefined }

/**
 * What the executor would answer to this event, as JSON. Undefined: it has to be asked. An event that comes again, for
 * another subscriber, costs nothing; so it must not change.
 */
export function render(plan: Plan, event: object & { [TOLD]?: Told | undefined }): string | undefined {
  if (plan.isHopeless) return undefined
  const before = event[TOLD]
  for (let told = before; told !== undefined; told = told.others) {
    if (told.plan === plan) return told.text ?? undefined
  }
  const text = attempt(plan, event)
  event[TOLD] = { plan, text, others: before }
  return text ?? undefined
}

function attempt(plan: Plan, event: object): string | null {
  try {
    return plan.write(event)
  } catch (error) {
    if (error instanceof NotAlike) plan.isHopeless = true
    return null
  }
}

function makePlan(schema: GraphQLSchema, shape: Shape, given: Record<string, unknown>): Plan {
  const subscriptions = schema.getSubscriptionType()
  if (subscriptions == null) throw new NotAlike('a schema without subscriptions')
  const definitions = (shape.operation.variableDefinitions ?? []).filter(({ variable }) =>
    shape.variables.includes(variable.name.value),
  )
  const { variableValues } = getVariableValues(schema, definitions, given)
  if (variableValues === undefined) throw new NotAlike('variables that are refused')
  const asked = { schema, fragments: shape.fragments, variables: variableValues }
  const write = rootWriter(asked, subscriptions, shape.root)
  const before = `{"data":{${JSON.stringify(shape.responseKey)}:`
  return {
    field: shape.root[0].name.value,
    responseKey: shape.responseKey,
    write: (event) => `${before}${write(event)}}}`,
    isHopeless: false,
  }
}

/** What was made before, or is made now; undefined where making it throws. The longest unused goes when there are many. */
function remembered<Owner extends object, Made>(
  all: WeakMap<Owner, Map<string, Made | undefined>>,
  owner: Owner,
  key: string,
  make: () => Made,
): Made | undefined {
  const known = all.get(owner) ?? new Map<string, Made | undefined>()
  all.set(owner, known)
  const isKnown = known.has(key)
  const made = isKnown ? known.get(key) : orNothing(make)
  if (isKnown) known.delete(key)
  else if (known.size >= PLANS) known.delete(known.keys().next().value ?? '')
  known.set(key, made)
  return made
}

function orNothing<Made>(make: () => Made): Made | undefined {
  try {
    return make()
  } catch {
    return undefined
  }
}
