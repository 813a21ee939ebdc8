/** What a SCIM client can learn about this door: what it can do, which resources there are, and what each consists of. */
import { PAGE } from './page.ts'
import { GROUP, GROUP_EXTENSION, USER } from './schemas.ts'

const CORE = 'urn:ietf:params:scim:schemas:core:2.0'

/** `GET /ServiceProviderConfig`. */
export function serviceProviderConfig(base: string): Record<string, unknown> {
  return {
    schemas: [`${CORE}:ServiceProviderConfig`],
    patch: { supported: true },
    bulk: { supported: false, maxOperations: 0, maxPayloadSize: 0 },
    filter: { supported: true, maxResults: PAGE.most },
    changePassword: { supported: false },
    sort: { supported: false },
    etag: { supported: false },
    authenticationSchemes: [
      {
        type: 'oauthbearertoken',
        name: 'Bearer token',
        description: "The admin's key of this Posthouse, as a bearer token in the Authorization header",
        primary: true,
      },
    ],
    meta: { resourceType: 'ServiceProviderConfig', location: `${base}ServiceProviderConfig` },
  }
}

/** `GET /ResourceTypes`. */
export function resourceTypes(base: string): (Record<string, unknown> & { id: string })[] {
  const type = (id: string, endpoint: string, description: string, schema: string, extensions: string[]) => ({
    schemas: [`${CORE}:ResourceType`],
    id,
    name: id,
    endpoint,
    description,
    schema,
    schemaExtensions: extensions.map((schema) => ({ schema, required: false })),
    meta: { resourceType: 'ResourceType', location: `${base}ResourceTypes/${id}` },
  })
  return [
    type('User', '/Users', 'A person who receives messages', USER, []),
    type('Group', '/Groups', 'A department, a post or a role', GROUP, [GROUP_EXTENSION]),
  ]
}

type Attribute = Record<string, unknown>

/** One attribute as RFC 7643 §7 describes it; what is not told is usual. */
function attribute(name: string, description: string, more: Attribute = {}): Attribute {
  const usual = { multiValued: false, required: false, mutability: 'readWrite', returned: 'default' }
  const ofText = more['type'] === undefined ? { type: 'string', caseExact: false, uniqueness: 'none' } : {}
  return { name, description, ...ofText, ...usual, ...more }
}

const complex = (subAttributes: Attribute[], more: Attribute = {}) => ({ type: 'complex', subAttributes, ...more })
const readOnly = { mutability: 'readOnly' }
const reference = (...referenceTypes: string[]) => ({ type: 'reference', referenceTypes, caseExact: true, ...readOnly })

const entries = (kind: string) =>
  complex(
    [
      attribute('value', 'What it is'),
      attribute('type', 'What it is for', { canonicalValues: [kind] }),
      attribute('primary', 'The one that is used', { type: 'boolean' }),
    ],
    { multiValued: true },
  )

const ATTRIBUTES: Record<string, [name: string, description: string, attributes: Attribute[]]> = {
  [USER]: [
    'User',
    'A person who receives messages',
    [
      attribute('userName', 'The code by which messages are pushed to the person, at most 64 characters; also the id', {
        required: true,
        uniqueness: 'server',
        mutability: 'immutable',
      }),
      attribute('displayName', 'The name that everybody sees'),
      attribute(
        'name',
        'The name in parts; without a displayName the one that everybody sees is made of them',
        complex([
          attribute('formatted', 'The whole name'),
          attribute('familyName', 'The family name'),
          attribute('givenName', 'The given name'),
        ]),
      ),
      attribute('active', 'Whether anything reaches the person', { type: 'boolean' }),
      attribute('emails', 'One is kept: the primary one, else that for work', entries('work')),
      attribute('phoneNumbers', 'One is kept: the mobile one, in E.164', entries('mobile')),
      attribute('locale', 'The language in BCP 47, such as zh-CN'),
      attribute('timezone', 'The IANA time zone, such as Asia/Shanghai'),
      attribute(
        'groups',
        'The groups that the person is in; changed at /Groups',
        complex(
          [
            attribute('value', "The group's id", { caseExact: true, ...readOnly }),
            attribute('$ref', "The group's address", reference('Group')),
            attribute('display', "The group's name", readOnly),
            attribute('type', 'Always `direct`', { canonicalValues: ['direct'], ...readOnly }),
          ],
          { multiValued: true, ...readOnly },
        ),
      ),
    ],
  ],
  [GROUP]: [
    'Group',
    'A department, a post or a role',
    [
      attribute('displayName', "The group's name", { required: true }),
      attribute(
        'members',
        'The people in it; of a group of more than 10,000 nobody is listed: ask /Users for groups.value',
        complex(
          [
            attribute('value', "The user's id", { caseExact: true, mutability: 'immutable' }),
            attribute('$ref', "The user's address", { ...reference('User'), mutability: 'immutable' }),
            attribute('display', "The user's name", readOnly),
            attribute('type', 'Always `User`', { canonicalValues: ['User'], mutability: 'immutable' }),
          ],
          { multiValued: true },
        ),
      ),
    ],
  ],
  [GROUP_EXTENSION]: [
    'Posthouse group',
    'What a group is to those who push messages',
    [
      attribute('kind', 'dept, post or role; a new group without it is a role', {
        canonicalValues: ['dept', 'post', 'role'],
        mutability: 'immutable',
      }),
      attribute('code', 'The code by which messages are pushed to it; without it the displayName', {
        caseExact: true,
        uniqueness: 'server',
        mutability: 'immutable',
      }),
      attribute('parent', 'Of a department the code of the one above', { caseExact: true }),
      attribute('active', 'Whether it reaches anybody', { type: 'boolean' }),
      attribute('memberCount', 'How many people are in it', { type: 'integer', ...readOnly }),
    ],
  ],
}

/** `GET /Schemas`. */
export function schemaList(base: string): (Record<string, unknown> & { id: string })[] {
  return Object.entries(ATTRIBUTES).map(([id, [name, description, attributes]]) => ({
    schemas: [`${CORE}:Schema`],
    id,
    name,
    description,
    attributes,
    meta: { resourceType: 'Schema', location: `${base}Schemas/${id}` },
  }))
}
