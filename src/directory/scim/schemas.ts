/** The URNs that SCIM names things by. */

export const USER = 'urn:ietf:params:scim:schemas:core:2.0:User'
export const GROUP = 'urn:ietf:params:scim:schemas:core:2.0:Group'
/** What a group is to us: its kind, its code, the department above it. */
export const GROUP_EXTENSION = 'urn:ietf:params:scim:schemas:extension:posthouse:2.0:Group'
const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User'

export const LIST = 'urn:ietf:params:scim:api:messages:2.0:ListResponse'
export const ERROR = 'urn:ietf:params:scim:api:messages:2.0:Error'

/** In lower case, as attributes are compared: what stands before an attribute's name. */
export const CORE_SCHEMAS = [USER, GROUP].map((urn) => urn.toLowerCase())
export const EXTENSION = GROUP_EXTENSION.toLowerCase()
export const SCHEMAS = [...CORE_SCHEMAS, EXTENSION, ENTERPRISE.toLowerCase()]
