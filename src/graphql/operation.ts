/** An operation on a socket, as Yoga's pipeline runs it over HTTP; once a live one has caught up, without the pipeline. */
import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { getOperationAST, GraphQLError, OperationTypeNode, type DocumentNode, type ExecutionResult } from 'graphql'
import type { SubscribePayload } from 'graphql-ws'
import type { WebSocket } from 'ws'
import type { Viewer } from '../context.ts'
import { SocketWay, type Handover } from './direct.ts'
import { planOf, type Plan } from './live-plan.ts'
import type { Answer, Begin } from './protocol.ts'
import type { Readers } from './slow-readers.ts'
import type { makeYoga } from './yoga.ts'

type Yoga = ReturnType<typeof makeYoga>

/** Who asks, and by which socket. */
type Asker = {
  viewer: Viewer
  client: WebSocket
  connection: Duplex
  renew: (authorization: string) => Promise<Date>
}

type Operation = Pick<SubscribePayload, 'operationName' | 'variables'> & {
  id: string
  document: DocumentNode
  kind: OperationTypeNode
  plan: Plan | undefined
}

/** Reads what is asked; gives how to run it. What that keeps is no more than it needs: equal texts have one document. */
export function takeOperation(yoga: Yoga, readers: Readers, asker: Asker, id: string, asked: SubscribePayload): Begin {
  const { schema, parse, validate } = envelope(yoga, asker)
  const document: DocumentNode = parse(asked.query)
  const errors: GraphQLError[] = validate(schema, document)
  if (errors.length > 0) return async () => ({ errors: errors.map(yoga.mask) })
  const { operationName, variables } = asked
  const kind = getOperationAST(document, operationName)?.operation
  if (kind === undefined) throw new GraphQLError('Unable to identify operation')
  const plan = planOf(schema, document, operationName, variables)
  const operation = { id, document, operationName, variables, kind, plan }
  return (from) => run(yoga, readers, asker, operation, from)
}

async function run(
  yoga: Yoga,
  readers: Readers,
  asker: Asker,
  { id, document, operationName, variables, kind, plan }: Operation,
  from: number | undefined,
): Promise<Answer> {
  const { schema, execute, subscribe, contextFactory } = envelope(yoga, asker)
  const handover: Handover = { from, isWanted: plan?.isHopeless === false }
  const contextValue = Object.assign(await contextFactory(), { handover })
  const act = kind === OperationTypeNode.SUBSCRIPTION ? subscribe : execute
  const given: ExecutionResult | AsyncIterableIterator<ExecutionResult> = await act({
    schema,
    document,
    operationName,
    variableValues: variables,
    contextValue,
  })
  if (!(Symbol.asyncIterator in given)) return { results: [given] }
  const follow = () => {
    const goOn = handover.follow
    const direct = plan && new SocketWay(asker.client, asker.connection, readers, id, plan)
    return goOn && direct && ((toStream: (from: number) => void) => goOn(direct, toStream))
  }
  return { results: given, follow }
}

function envelope(yoga: Yoga, { viewer, renew }: Asker) {
  return yoga.getEnveloped({ viewer, renew, requestId: randomUUID(), params: {} })
}
