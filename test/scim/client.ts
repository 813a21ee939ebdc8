/** Talks to a Posthouse as an identity provider does. */
import type { Running } from '../kit/posthouse.ts'

export const PATCH_OP = 'urn:ietf:params:scim:api:messages:2.0:PatchOp'
export const GROUP = 'urn:ietf:params:scim:schemas:core:2.0:Group'
export const OURS = 'urn:ietf:params:scim:schemas:extension:posthouse:2.0:Group'
export const USER = 'urn:ietf:params:scim:schemas:core:2.0:User'

export type ScimAnswer = { status: number; headers: Headers; body: Record<string, any> }

/** Calls with the admin's key, unless `headers` say otherwise. `body`: an object, or a text as it stands. */
export function scimClient({ url, adminKey }: Pick<Running, 'url' | 'adminKey'>) {
  async function call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<ScimAnswer> {
    const response = await fetch(`${url}/scim/v2${path}`, {
      method,
      headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/scim+json', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) }
  }
  return {
    call,
    get: (path: string) => call('GET', path),
    post: (path: string, body: unknown) => call('POST', path, body),
    put: (path: string, body: unknown) => call('PUT', path, body),
    remove: (path: string) => call('DELETE', path),
    patch: (path: string, ...operations: unknown[]) =>
      call('PATCH', path, { schemas: [PATCH_OP], Operations: operations }),
    /** The ids of those that a filter finds. */
    async ids(type: 'Users' | 'Groups', filter: string): Promise<string[]> {
      const { body } = await call('GET', `/${type}?filter=${encodeURIComponent(filter)}`)
      return (body['Resources'] as { id: string }[]).map(({ id }) => id)
    },
  }
}

export type ScimClient = ReturnType<typeof scimClient>
