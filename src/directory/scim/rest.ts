/** SCIM 2.0 (RFC 7643, RFC 7644) for identity providers at `/scim/v2`: users and groups. Who asks has been made sure of by the server. */
import type { By } from '../../audit/audit.ts'
import { checkText } from '../../check.ts'
import type { Context } from '../../context.ts'
import { readJson } from '../../json.ts'
import { resourceTypes, schemaList, serviceProviderConfig } from './about.ts'
import { changeGroup, createGroup, deleteGroup } from './change-group.ts'
import { changeUser, createUser, deleteUser } from './change-user.ts'
import { findGroup, findGroups } from './find-groups.ts'
import { findUser, findUsers } from './find-users.ts'
import { groupOf, showGroup } from './group.ts'
import { listOf, readSearch, readSelection, readWish, select, wants, type ListWish, type Selection } from './page.ts'
import { asSteps, readSteps } from './patch.ts'
import { notFound, problemOf, ScimProblem } from './problem.ts'
import { ERROR } from './schemas.ts'
import { showUser } from './user.ts'

export const SCIM_PATH = '/scim/v2'
const MEDIA_TYPES = ['application/scim+json', 'application/json']

export type ScimRequest = {
  method: string
  /** What follows `SCIM_PATH`. */
  path: string
  query: URLSearchParams
  /** Of the body, in lower case and without parameters. */
  mediaType: string
  /** Reads the body; refuses one that is too large. */
  body(): Promise<Uint8Array>
  /** Where the client found us, for the addresses of what it finds: `https://host`. */
  origin: string
  by: By
}

export type ScimAnswer = { status: number; headers: Record<string, string>; body?: Record<string, unknown> }

type Ask = { context: Context; request: ScimRequest; id: string; base: string; selection: Selection }
type Act = (ask: Ask) => Promise<ScimAnswer>

const users: Kind = {
  isId: () => true,
  create: createUser,
  change: changeUser,
  remove: deleteUser,
  answersPatch: true,
  async find({ db }, id, selection, base) {
    const found = await findUser(db, id, wants(selection, 'groups'))
    return found && showUser(found, base)
  },
  // Patiently: a filter may read everybody, and a statement that is given up takes others with it.
  async list({ store }, wish, selection, base) {
    const { total, found } = await findUsers(store.patient, wish, wants(selection, 'groups'))
    return { total, resources: found.map((user) => showUser(user, base)) }
  },
}

const groups: Kind = {
  isId: (id) => groupOf(id) !== undefined,
  create: createGroup,
  change: changeGroup,
  remove: deleteGroup,
  // A group may be large: Microsoft Entra ID asks for 204 and no body.
  answersPatch: false,
  async find({ store }, id, selection, base) {
    const found = await findGroup(store.patient, id, wants(selection, 'members'))
    return found && showGroup(found, base)
  },
  async list({ store }, wish, selection, base) {
    const { total, found } = await findGroups(store.patient, wish, wants(selection, 'members'))
    return { total, resources: found.map((group) => showGroup(group, base)) }
  },
}

type Resource = Record<string, unknown>
type Kind = {
  isId(id: string): boolean
  create: typeof createUser
  change: typeof changeUser
  remove: typeof deleteUser
  answersPatch: boolean
  find(context: Context, id: string, selection: Selection, base: string): Promise<Resource | undefined>
  list(
    context: Context,
    wish: ListWish,
    selection: Selection,
    base: string,
  ): Promise<{ total: number; resources: Resource[] }>
}

/** Every call: its path, where `*` stands for an id, and what each method does. */
const calls: [path: RegExp, methods: Record<string, Act>][] = [
  ...endpoints('users', users),
  ...endpoints('groups', groups),
  [/^\/serviceproviderconfig$/i, { GET: async ({ base }) => ok(serviceProviderConfig(base)) }],
  ...listed('resourcetypes', resourceTypes),
  ...listed('schemas', schemaList),
  [/^\/(?:me|bulk)$/i, { GET: notImplemented, POST: notImplemented }],
]

/** Answers a call under `SCIM_PATH`; throws what `scimRefusal` tells. */
export async function scimCall(context: Context, request: ScimRequest): Promise<ScimAnswer> {
  const path = request.path.replace(/\/+$/, '')
  for (const [pattern, methods] of calls) {
    const match = pattern.exec(path)
    if (match === null) continue
    const act = new Map(Object.entries(methods)).get(request.method)
    if (act === undefined) return notAllowed(Object.keys(methods))
    const id = decoded(match[1] ?? '')
    const base = `${request.origin}${SCIM_PATH}/`
    return act({ context, request, id, base, selection: readSelection(request.query) })
  }
  throw notFound(`path ${SCIM_PATH}${path}`)
}

/** The answer to whatever was thrown, in the form of RFC 7644; `isOurs`: it is a bug of ours, and the caller learns nothing of it. */
export function scimRefusal(error: unknown): ScimAnswer & { isOurs: boolean } {
  const problem = problemOf(error)
  const { status, scimType, message } = problem ?? new ScimProblem(500, undefined, 'Internal server error')
  const headers: Record<string, string> = {
    ...(status === 401 ? { 'www-authenticate': 'Bearer realm="posthouse"' } : {}),
    ...(status === 503 ? { 'retry-after': '1' } : {}),
  }
  const body = {
    schemas: [ERROR],
    status: String(status),
    ...(scimType === undefined ? {} : { scimType }),
    detail: message,
  }
  return { status, headers, body, isOurs: problem === undefined }
}

function endpoints(name: string, kind: Kind): [RegExp, Record<string, Act>][] {
  const { create, change, remove } = kind
  const show = async ({ context, base, selection }: Ask, id: string, status = 200): Promise<ScimAnswer> => {
    const found = kind.isId(id) ? await kind.find(context, id, selection, base) : undefined
    if (found === undefined) throw notFound(`${name.slice(0, -1)} ${id}`)
    const headers: Record<string, string> =
      status === 201 ? { location: (found['meta'] as { location: string }).location } : {}
    return { status, headers, body: select(found, selection) }
  }
  const list = async ({ context, base }: Ask, wish: ListWish, selection: Selection): Promise<ScimAnswer> => {
    const { total, resources } = await kind.list(context, wish, selection, base)
    const chosen = resources.map((resource) => select(resource, selection))
    return ok(listOf(chosen, total, wish.startIndex))
  }
  return [
    [
      new RegExp(`^/${name}$`, 'i'),
      {
        GET: (ask) => list(ask, readWish(ask.request.query), ask.selection),
        POST: async (ask) => {
          const steps = asSteps(await readBody(ask.request))
          return show(ask, await create(ask.context.store.patient, ask.request.by, steps), 201)
        },
      },
    ],
    [
      new RegExp(`^/${name}/\\.search$`, 'i'),
      {
        POST: async (ask) => {
          const { selection, ...wish } = readSearch(await readBody(ask.request))
          return list(ask, wish, selection)
        },
      },
    ],
    [
      new RegExp(`^/${name}/([^/]+)$`, 'i'),
      {
        GET: (ask) => show(ask, ask.id),
        PUT: async (ask) => {
          await change(ask.context.store.patient, ask.request.by, ask.id, asSteps(await readBody(ask.request)))
          return show(ask, ask.id)
        },
        PATCH: async (ask) => {
          await change(ask.context.store.patient, ask.request.by, ask.id, readSteps(await readBody(ask.request)))
          const isAsked = ask.selection.attributes !== undefined
          return kind.answersPatch || isAsked ? show(ask, ask.id) : { status: 204, headers: {} }
        },
        DELETE: async (ask) => {
          await remove(ask.context.db, ask.request.by, ask.id)
          return { status: 204, headers: {} }
        },
      },
    ],
  ]
}

function listed(name: string, make: (base: string) => (Resource & { id: string })[]): [RegExp, Record<string, Act>][] {
  return [
    [new RegExp(`^/${name}$`, 'i'), { GET: async ({ base }) => ok(listOf(make(base))) }],
    [
      new RegExp(`^/${name}/([^/]+)$`, 'i'),
      {
        GET: async ({ base, id }) => {
          const found = make(base).find((one) => one.id.toLowerCase() === id.toLowerCase())
          if (found === undefined) throw notFound(id)
          return ok(found)
        },
      },
    ],
  ]
}

async function notImplemented({ request }: Ask): Promise<ScimAnswer> {
  throw new ScimProblem(501, undefined, `${SCIM_PATH}${request.path} is not supported`)
}

function notAllowed(methods: string[]): ScimAnswer {
  const allow = methods.join(', ')
  const { headers, ...answer } = scimRefusal(new ScimProblem(405, undefined, `Use ${allow}`))
  return { ...answer, headers: { ...headers, allow } }
}

function ok(body: Resource): ScimAnswer {
  return { status: 200, headers: {}, body }
}

async function readBody({ mediaType, body }: ScimRequest): Promise<unknown> {
  if (MEDIA_TYPES.includes(mediaType)) return readJson(await body())
  throw new ScimProblem(415, undefined, `Content-Type must be ${MEDIA_TYPES.join(' or ')}`)
}

function decoded(segment: string): string {
  let id: string
  try {
    id = decodeURIComponent(segment)
  } catch {
    throw notFound('resource of an id that is not percent-encoded UTF-8')
  }
  checkText(id, 'id')
  return id
}
