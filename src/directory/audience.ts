/**
 * Reads whom a receiver means: the people of today's roster. A disabled group reaches nobody, and a disabled dept is not
 * gone through to what is below it. Codes are compared exactly. Everything that pages does so
 * by user code in byte order (`collate "C"`), so that a cursor means the same on every database.
 */
import { sql, type SQL } from 'drizzle-orm'
import { hot, json, query, texts, type Db } from '../db/client.ts'
import { together } from '../db/together.ts'
import { email, phone } from './address.ts'

export type Person = { code: string; name: string; phone: string | null; email: string | null; locale: string | null }
/** What `specified` may name: user codes and group codes. */
export type Receiver = { user?: string[]; dept?: string[]; post?: string[]; role?: string[] }
/** A page: at most `limit` people whose codes come after `after` (`''`: from the start). */
export type Page = { after: string; limit: number }

/** A custom account and what it means: a user with his name and language, an address, or both. */
export type Resolved = {
  account: string
  userCode: string | null
  address: string | null
  name: string | null
  locale: string | null
}

/**
 * The enabled users that the receiver's lists reach together, each once. `descendants`: a dept includes its
 * sub-departments.
 */
export async function specified(
  db: Db,
  receiver: Receiver,
  { descendants, after, limit }: Page & { descendants: boolean },
): Promise<Person[]> {
  return query<Person>(
    db,
    sql`
    with recursive ${reachedBy(receiver, descendants)}
    select code, name, phone, email, locale
    from users
    where enabled and code in (select code from reached) and code collate "C" > ${after}
    order by code collate "C"
    limit ${limit}::integer`,
  )
}

/** Up to so many users are looked for by name together with those of others. */
export const FEW_NAMED = 100

/**
 * The enabled ones of at most `FEW_NAMED` users, each once. Who asks while another look is under way is served by the
 * next one, together with whoever else asked meanwhile.
 */
export const namedFew = together<readonly string[], Person[]>({
  async act(store, asked) {
    const rows = await usersNamed(store, { codes: json([...new Set(asked.flat())]) })
    const people = new Map(rows.map((row) => [row.code, row]))
    return asked.map((codes) => [...new Set(codes)].flatMap((code) => people.get(code) ?? []))
  },
  weigh: (codes) => codes.length,
  most: 1_000,
})

const usersNamed = hot<Person, { codes: string }>(sql`
  select code, name, phone, email, locale
  from users
  where enabled and code = any(array(select jsonb_array_elements_text(${sql.placeholder('codes')}::jsonb)))`)

/** Whether the receiver's lists reach this user today, enabled or not. */
export async function reaches(db: Db, receiver: Receiver, user: string, descendants: boolean): Promise<boolean> {
  const rows = await query(
    db,
    sql`with recursive ${reachedBy(receiver, descendants)} select code from reached where code = ${user} limit 1`,
  )
  return rows.length > 0
}

/** One of several receivers: see `specified`. */
export type Asked = { receiver: Receiver; descendants: boolean }

/**
 * The same of several receivers at once, of each that is small: undefined for one whose lists reach more than `most`, somebody
 * whom two of them reach counted twice. No more of it than that is looked at, so one that reaches thousands costs little.
 */
export async function specifiedFew(
  db: Db,
  asked: readonly Asked[],
  most: number,
): Promise<(readonly Person[] | undefined)[]> {
  const people = asked.map((): Person[] => [])
  const large = new Set<number>()
  const places = Map.groupBy(asked.keys(), (place) => listsOf(asked[place]?.receiver ?? {}).join())
  for (const [lists, same] of places) {
    const alike = same.map((place) => ({ ...asked[place], place }))
    for (const { place, isLarge, ...person } of await fewAlike(db, lists, alike, most)) {
      if (isLarge) large.add(place)
      else if (person.code !== null) people[place]?.push(person)
    }
  }
  return people.map((found, place) => (large.has(place) ? undefined : found))
}

/** Of receivers that have the same lists. A row without a person tells at least that there is a large one, or nobody enabled. */
function fewAlike(db: Db, lists: string, asked: object[], most: number) {
  const codes = (list: List) => sql`array(select jsonb_array_elements_text(asked.receiver->${sql.raw(`'${list}'`)}))`
  const found = reached(
    LISTS.filter((list) => lists.split(',').includes(list)),
    codes,
    sql`asked.descendants`,
    most + 1,
  )
  return query<(Person | { code: null }) & { place: number; isLarge: boolean }>(
    db,
    sql`
    select asked.place, whom.is_large as "isLarge", users.code, users.name, users.phone, users.email, users.locale
    from jsonb_to_recordset(${json(asked)}::jsonb) as asked (place int, receiver jsonb, descendants boolean)
    cross join lateral (
      with recursive ${found}
      select distinct code, count(*) over () > ${most}::integer as is_large from reached
    ) as whom
    left join users on users.code = whom.code and users.enabled and not whom.is_large
    order by asked.place, users.code collate "C"`,
  )
}

const LISTS = ['user', 'dept', 'post', 'role'] as const
type List = (typeof LISTS)[number]

/** The lists that name anybody. What is no list at all is kept, for the database to refuse. */
function listsOf(receiver: Receiver): List[] {
  return LISTS.filter((list) => (receiver[list] ?? []).length !== 0)
}

function reachedBy(receiver: Receiver, descendants: boolean): SQL {
  return reached(listsOf(receiver), (list) => texts(receiver[list] ?? []), sql`${descendants}::boolean`)
}

/**
 * CTEs that end in `reached (code)`: the users whom these lists name, themselves or by their groups; each once, or with
 * `limit` the first so many as they come.
 */
function reached(lists: readonly List[], codes: (list: List) => SQL, descendants: SQL, limit?: number): SQL {
  const branches: Record<List, () => SQL> = {
    user: () => sql`select code from users where code = any(${codes('user')})`,
    dept: () =>
      sql`select user_code from memberships where kind = 'dept' and group_code = any(array(select code from reached_dept))`,
    post: () => sql`
      select user_code from memberships
      where kind = 'post' and group_code = any(array(select code from posts where enabled and code = any(${codes('post')})))`,
    role: () => sql`
      select user_code from memberships
      where kind = 'role' and group_code = any(array(select code from roles where enabled and code = any(${codes('role')})))`,
  }
  const reachedDept = sql`
    reached_dept as (
      select code from departments where enabled and code = any(${codes('dept')})
      union -- without "all": a dept met again ends there, so a cycle in the tree does too
      select departments.code
      from departments join reached_dept on departments.parent_code = reached_dept.code
      where departments.enabled and ${descendants}
    ),`
  // Nothing is looked for in groups that nobody named.
  const named = lists.length === 0 ? [sql`select code from users where false`] : lists.map((list) => branches[list]())
  return sql`
    ${lists.includes('dept') ? reachedDept : sql``}
    reached (code) as (
      ${sql.join(named, limit === undefined ? sql` union ` : sql` union all `)}
      ${limit === undefined ? sql`` : sql`limit ${limit}::integer`}
    )`
}

/** The codes that name nothing, by list (`{}`: none). What is disabled counts as unknown, an empty group does not. */
export async function unknownCodes(db: Db, receiver: Receiver): Promise<Record<string, string[]>> {
  const { user = [], dept = [], post = [], role = [] } = receiver
  const rows = await query<{ list: string; code: string }>(
    db,
    sql`
    select 'user' as list, code from users where code = any(${texts(user)}) and enabled
    union all
    select 'dept', code from departments where code = any(${texts(dept)}) and enabled
    union all
    select 'post', code from posts where code = any(${texts(post)}) and enabled
    union all
    select 'role', code from roles where code = any(${texts(role)}) and enabled`,
  )
  const known: Record<string, Set<string>> = { user: new Set(), dept: new Set(), post: new Set(), role: new Set() }
  for (const { list, code } of rows) known[list]?.add(code)
  const unknown = Object.entries({ user, dept, post, role }).map(([list, codes]) => {
    return [list, codes.filter((code) => !known[list]?.has(code))] as const
  })
  return Object.fromEntries(unknown.filter(([, codes]) => codes.length > 0))
}

/** The enabled users, a page at a time. */
export async function everyone(db: Db, { after, limit }: Page): Promise<Person[]> {
  return query<Person>(
    db,
    sql`
    select code, name, phone, email, locale
    from users
    where enabled and code collate "C" > ${after}
    order by code collate "C"
    limit ${limit}::integer`,
  )
}

/** How many users are enabled. */
export async function countEveryone(db: Db): Promise<number> {
  const [row] = await query<{ count: number }>(db, sql`select count(*) as count from users where enabled`)
  return row?.count ?? 0
}

/**
 * What the accounts of a custom receiver mean. On `sms` and `mail`: an address is itself, anything else is a user code
 * and means that user's address. On `site`: a user code, else the phone of exactly one enabled user. In `invalid`: what
 * means nobody, or somebody without such an address. Accounts that come to the same user or address count once, the
 * first of them.
 */
export async function accounts(
  db: Db,
  kind: 'site' | 'sms' | 'mail',
  list: readonly string[],
): Promise<{ resolved: Resolved[]; invalid: string[] }> {
  const read = { site: () => undefined, sms: phone, mail: email }[kind]
  const address = new Map(list.map((account) => [account, read(account)]))
  const user = await usersBehind(
    db,
    list.filter((account) => address.get(account) === undefined),
    kind,
  )
  const resolved = new Map<string, Resolved>()
  const invalid: string[] = []
  for (const account of list) {
    const own = address.get(account)
    const found = own === undefined ? user.get(account) : { userCode: null, address: own, name: null, locale: null }
    const key = kind === 'site' ? found?.userCode : found?.address
    if (found === undefined || key === undefined || key === null) invalid.push(account)
    else if (!resolved.has(key)) resolved.set(key, { account, ...found })
  }
  return { resolved: [...resolved.values()], invalid }
}

/** The enabled user behind each account that has one, with his address on that kind of channel. */
async function usersBehind(db: Db, list: readonly string[], kind: 'site' | 'sms' | 'mail') {
  const behind = new Map<string, Omit<Resolved, 'account'>>()
  if (list.length === 0) return behind
  const phones = new Map(kind === 'site' ? list.map((account) => [account, phone(account)]) : [])
  const rows = await query<Person>(
    db,
    sql`
    select code, name, phone, email, locale
    from users
    where enabled and (code = any(${texts(list)}) or phone = any(${texts([...phones.values()].filter((number) => number !== undefined))}))`,
  )
  const byCode = new Map(rows.map((row) => [row.code, row]))
  const byPhone = Map.groupBy(rows, (row) => row.phone)
  for (const account of list) {
    const number = phones.get(account)
    const owners = (number === undefined ? undefined : byPhone.get(number)) ?? []
    const user = byCode.get(account) ?? (owners.length === 1 ? owners[0] : undefined)
    if (user === undefined) continue
    const address = { site: null, sms: user.phone, mail: user.email }[kind]
    behind.set(account, { userCode: user.code, address, name: user.name, locale: user.locale })
  }
  return behind
}

/** How many people of a language there are, and how many of them have which address. */
export type Counted = { locale: string | null; people: number; phones: number; emails: number }

/** The enabled people whom a receiver's lists reach together, or all there are, in numbers by language. */
export async function countPeople(db: Db, receiver: Receiver | 'all', descendants: boolean): Promise<Counted[]> {
  const { ctes, isOne } = whoeverIs(receiver, descendants)
  return query<Counted>(
    db,
    sql`
    ${ctes}
    select locale, count(*) as people, count(phone) as phones, count(email) as emails
    from users
    where ${isOne}
    group by locale`,
  )
}

/** The enabled people whom a receiver's lists reach together, or all there are, for a statement over `users`. */
export function whoeverIs(receiver: Receiver | 'all', descendants: boolean): { ctes: SQL; isOne: SQL } {
  if (receiver === 'all') return { ctes: sql``, isOne: sql`users.enabled` }
  return {
    ctes: sql`with recursive ${reachedBy(receiver, descendants)}`,
    isOne: sql`users.enabled and users.code in (select code from reached)`,
  }
}
