/** What a SCIM client asks of a list, and the list that it gets (RFC 7644 §3.4.2). */
import { z } from 'zod'
import { look } from '../../check.ts'
import { parseFilter, type Filter } from './filter.ts'
import { inLowerCase, isObject } from './patch.ts'
import { wrong } from './problem.ts'
import { LIST } from './schemas.ts'

export const PAGE = { default: 100, most: 200 }
/** PostgreSQL counts no further, and no directory has as many. */
const LAST_INDEX = 2_147_483_647

export type Selection = { attributes?: string[]; excluded: string[] }
export type ListWish = { filter?: Filter; startIndex: number; count: number }

/** Which attributes are wanted of what is answered. */
export function readSelection(query: URLSearchParams): Selection {
  const names = (name: string) =>
    query
      .get(name)
      ?.split(',')
      .filter((one) => one.trim() !== '')
  return selection(names('attributes'), names('excludedAttributes'))
}

/** What `?filter=…&startIndex=…&count=…` asks for. */
export function readWish(query: URLSearchParams): ListWish {
  const number = (name: string) => {
    const text = query.get(name)
    if (text === null) return undefined
    if (/^\s*[+-]?\d+\s*$/.test(text)) return Number(text)
    throw wrong('invalidValue', `${name}: must be a whole number`)
  }
  refuseSorting(query.get('sortBy'))
  return wish(query.get('filter'), number('startIndex'), number('count'))
}

const search = z.object({
  attributes: z.array(z.string()).nullish(),
  excludedattributes: z.array(z.string()).nullish(),
  filter: z.string().nullish(),
  sortby: z.string().nullish(),
  startindex: z.int().nullish(),
  count: z.int().nullish(),
})

/** The same in the body of `POST …/.search`. */
export function readSearch(body: unknown): ListWish & { selection: Selection } {
  const { data, wrong: found } = look(search, isObject(body) ? inLowerCase(body) : body)
  if (data === undefined) throw wrong('invalidSyntax', `${found.path || '(body)'}: ${found.en}`)
  refuseSorting(data.sortby)
  return {
    ...wish(data.filter, data.startindex, data.count),
    selection: selection(data.attributes ?? undefined, data.excludedattributes ?? undefined),
  }
}

function refuseSorting(by: string | null | undefined): void {
  if (by != null && by !== '' && by.toLowerCase() !== 'id')
    throw wrong('invalidValue', 'sortBy: sorting is not supported; lists come in the order of their ids')
}

function wish(
  filter: string | null | undefined,
  startIndex: number | null | undefined,
  count: number | null | undefined,
): ListWish {
  return {
    ...(filter == null || filter.trim() === '' ? {} : { filter: parseFilter(filter) }),
    // As RFC 7644 has it: what is below is taken for the least, what is above for the most.
    startIndex: Math.min(Math.max(startIndex ?? 1, 1), LAST_INDEX),
    count: Math.min(Math.max(count ?? PAGE.default, 0), PAGE.most),
  }
}

function selection(attributes: string[] | undefined, excluded: string[] | undefined): Selection {
  const tidy = (names: string[]) =>
    names.map((name) =>
      name
        .trim()
        .toLowerCase()
        .replace(/^urn:ietf:params:scim:schemas:core:2\.0:(?:user|group):/, ''),
    )
  return {
    ...(attributes === undefined || attributes.length === 0 ? {} : { attributes: tidy(attributes) }),
    excluded: tidy(excluded ?? []),
  }
}

/** Whether an attribute, or a part of it, is wanted: what nobody wants is not looked up. */
export function wants({ attributes, excluded }: Selection, name: string): boolean {
  const isAsked = attributes === undefined || attributes.some((one) => one === name || one.startsWith(`${name}.`))
  return isAsked && !excluded.includes(name)
}

/** The parts of a resource that are wanted; its `schemas` and `id` always are. */
export function select(
  resource: Record<string, unknown>,
  { attributes, excluded }: Selection,
): Record<string, unknown> {
  if (attributes === undefined && excluded.length === 0) return resource
  const kept = Object.entries(resource).flatMap(([name, value]): [string, unknown][] => {
    const key = name.toLowerCase()
    if (key === 'schemas' || key === 'id') return [[name, value]]
    const dot = key.startsWith('urn:') ? ':' : '.'
    const partsOf = (names: string[]) =>
      names.filter((one) => one.startsWith(key + dot)).map((one) => one.slice(key.length + 1))
    const asked = attributes === undefined || attributes.includes(key) ? undefined : partsOf(attributes)
    if (asked?.length === 0 || excluded.includes(key)) return []
    const left = partsOf(excluded)
    return [[name, parts(value, (part) => (asked === undefined || asked.includes(part)) && !left.includes(part))]]
  })
  return Object.fromEntries(kept)
}

function parts(value: unknown, isWanted: (part: string) => boolean): unknown {
  if (Array.isArray(value)) return value.map((one) => parts(one, isWanted))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([name]) => isWanted(name.toLowerCase())))
}

export function listOf(resources: Record<string, unknown>[], total = resources.length, startIndex = 1) {
  return { schemas: [LIST], totalResults: total, startIndex, itemsPerPage: resources.length, Resources: resources }
}
