/**
 * What an operation of a subscription asks for, in the shape in which answers to it can be written without executing it
 * each time: its one root field, and the fields below it, merged as the executor merges them.
 */
import {
  getDirectiveValues,
  GraphQLIncludeDirective,
  GraphQLSkipDirective,
  isAbstractType,
  Kind,
  OperationTypeNode,
  print,
  visit,
  type DirectiveNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type getVariableValues,
  type GraphQLObjectType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql'

export type Variables = NonNullable<ReturnType<typeof getVariableValues>['variableValues']>

/** The nodes that together ask for one field. */
export type Nodes = [FieldNode, ...FieldNode[]]
/** By response key, in the order of the answer. */
export type Fields = Map<string, Nodes>

export type Shape = {
  /** The operation and what it spreads, the same for the same words however they were written. */
  text: string
  operation: OperationDefinitionNode
  fragments: Map<string, FragmentDefinitionNode>
  responseKey: string
  root: Nodes
  /** The variables on which answers depend. Those of the root field's arguments are for the one who subscribes. */
  variables: string[]
}

/** For what only the executor can answer. */
export class NotAlike extends Error {}

/** Throws NotAlike unless it is a subscription of one root field, without directives but skip and include below it. */
export function shapeOf(document: DocumentNode, operationName: string | null | undefined): Shape {
  const operations = document.definitions
    .filter((definition) => definition.kind === Kind.OPERATION_DEFINITION)
    .filter(({ name }) => operationName == null || name?.value === operationName)
  const [operation] = operations
  if (operations.length !== 1 || operation?.operation !== OperationTypeNode.SUBSCRIPTION) throw new NotAlike('it')
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  }
  withoutDirectives(operation)
  // A subscription has neither skip nor include at its root: which field it asks for hangs on nothing.
  const [[responseKey, root] = [], ...others] = collect([operation], fragments, withoutDirectives, () => true)
  if (responseKey === undefined || root === undefined || others.length > 0) throw new NotAlike('its root')
  return { text: print(document), operation, fragments, responseKey, root, variables: variablesBelow(root, fragments) }
}

function withoutDirectives({ directives }: { readonly directives?: readonly DirectiveNode[] | undefined }): true {
  if (directives?.length) throw new NotAlike('a directive')
  return true
}

const KNOWN = new Set([GraphQLSkipDirective.name, GraphQLIncludeDirective.name])

/** The variables in what is selected below these nodes. Throws NotAlike for what is not known here. */
function variablesBelow(nodes: readonly FieldNode[], fragments: Shape['fragments']): string[] {
  const variables = new Set<string>()
  const entered = new Set<string>()
  function read(selected: SelectionSetNode | undefined) {
    if (selected === undefined) return
    visit(selected, {
      Variable: ({ name }) => void variables.add(name.value),
      Directive({ name }) {
        if (!KNOWN.has(name.value)) throw new NotAlike(`@${name.value}`)
      },
      FragmentSpread(spread) {
        const name = spread.name.value
        const fragment = fragments.get(name)
        if (fragment === undefined || spread.arguments?.length) throw new NotAlike('a fragment')
        if (entered.has(name)) return
        entered.add(name)
        withoutDirectives(fragment)
        read(fragment.selectionSet)
      },
    })
  }
  for (const { selectionSet } of nodes) read(selectionSet)
  return [...variables].toSorted()
}

/** The fields that these nodes select of an object of this type. */
export function fieldsOf(
  schema: GraphQLSchema,
  type: GraphQLObjectType,
  nodes: readonly FieldNode[],
  fragments: Shape['fragments'],
  variables: Variables,
): Fields {
  const isAskedFor = (node: SelectionNode) =>
    getDirectiveValues(GraphQLSkipDirective, node, variables)?.['if'] !== true &&
    getDirectiveValues(GraphQLIncludeDirective, node, variables)?.['if'] !== false
  const isOfType = (name: string) => {
    const wanted = schema.getType(name)
    return wanted === type || (isAbstractType(wanted) && schema.isSubType(wanted, type))
  }
  return collect(nodes, fragments, isAskedFor, isOfType)
}

function collect(
  nodes: readonly { readonly selectionSet?: SelectionSetNode | undefined }[],
  fragments: Shape['fragments'],
  isAskedFor: (node: SelectionNode) => boolean,
  isOfType: (name: string) => boolean,
): Fields {
  const found: Fields = new Map()
  // A fragment is entered once: what it spreads could otherwise double with each that spreads it.
  const entered = new Set<string>()
  function read({ selections }: SelectionSetNode) {
    for (const node of selections) {
      if (!isAskedFor(node)) continue
      if (node.kind === Kind.FIELD) {
        const key = (node.alias ?? node.name).value
        const same = found.get(key)
        if (same === undefined) found.set(key, [node])
        else same.push(node)
        continue
      }
      if (node.kind === Kind.FRAGMENT_SPREAD) {
        if (entered.has(node.name.value)) continue
        entered.add(node.name.value)
      }
      const fragment = node.kind === Kind.INLINE_FRAGMENT ? node : fragments.get(node.name.value)
      if (fragment === undefined) throw new NotAlike('a fragment')
      if (fragment.typeCondition === undefined || isOfType(fragment.typeCondition.name.value))
        read(fragment.selectionSet)
    }
  }
  for (const { selectionSet } of nodes) if (selectionSet !== undefined) read(selectionSet)
  return found
}
