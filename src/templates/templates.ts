/** Keeps what can be said: templates, each with versions that never change once written. How they come about: publish.ts. */
import { sql, type SQL } from 'drizzle-orm'
import { json, query, texts, type Db } from '../db/client.ts'
import { Refusal } from '../errors.ts'
import type { TemplateBody } from './draft.ts'
import { variablesOf, type Contents } from './render.ts'
import { inferred, type Variable } from './variables.ts'

/** A template with the version that pushes use now. `contents`: channel id → content whose strings are Liquid. */
export type PublishedTemplate = {
  code: string
  name: string
  msgType: string
  enabled: boolean
  version: number
  contents: Contents
  locales: Record<string, Contents>
  /** Null: everything that the contents name, as text. */
  variables: Variable[] | null
}

export type Template = {
  code: string
  name: string
  msgType: string
  enabled: boolean
  /** 0: none has been published yet. */
  version: number
  revision: number
  draft: (TemplateBody & { basedOn: number }) | null
  /** Of the published version, or else of the draft. */
  variables: Variable[]
}

export type TemplateVersion = TemplateBody & { version: number; restoredFrom: number | null; createdAt: Date }

/** Writes a template and publishes it as the next version, whose number it returns. A disabled one stays disabled. */
export async function saveTemplate(
  db: Db,
  {
    code,
    locales = {},
    variables,
    ...rest
  }: Pick<TemplateBody, 'name' | 'msgType' | 'contents'> &
    Partial<Pick<TemplateBody, 'locales' | 'variables'>> & { code: string },
): Promise<number> {
  const body = { ...rest, locales, variables: variables ?? inferred(variablesOf(rest.contents)) }
  const [saved] = await query<{ version: number }>(
    db,
    sql`
    with given as (select ${code}::text as code, ${json(body)}::jsonb as body),
    template as (
      insert into templates (code, name, msg_type, version)
      select code, body ->> 'name', body ->> 'msgType', 1 from given
      on conflict (code) do update
      set name = excluded.name, msg_type = excluded.msg_type, version = templates.version + 1,
        revision = templates.revision + 1
      returning code, version
    ),
    ${putVersion(sql`select template.*, given.body, null::int as restored_from from template, given`)}
    select version from template`,
  )
  return saved!.version
}

/** The CTE that writes an immutable version out of `made`: code, version, body, restored_from. */
export function putVersion(made: SQL): SQL {
  return sql`
    put_version as (
      insert into template_versions (template_code, version, name, msg_type, contents, locales, variables, restored_from)
      select code, version, body ->> 'name', body ->> 'msgType', body -> 'contents', body -> 'locales',
        nullif(body -> 'variables', 'null'), restored_from
      from (${made}) as made
    )`
}

/** A `TemplateBody`, where `versions` is at hand; `template` names the template's row. */
export const bodyOf = (template: SQL) => sql`
  jsonb_build_object(
    'name', coalesce(versions.name, ${template}.name), 'msgType', coalesce(versions.msg_type, ${template}.msg_type),
    'contents', versions.contents, 'locales', versions.locales, 'variables', versions.variables
  )`

/** The template of that code as pushes use it now, disabled ones too. */
export async function publishedTemplate(db: Db, code: string): Promise<PublishedTemplate | undefined> {
  const [row] = await query<PublishedTemplate>(
    db,
    sql`
    select templates.code, templates.name, templates.msg_type as "msgType", templates.enabled, templates.version,
      versions.contents, versions.locales, versions.variables
    from templates
    join template_versions as versions
      on versions.template_code = templates.code and versions.version = templates.version
    where templates.code = ${code}`,
  )
  return row
}

type Row = Omit<Template, 'variables'> & { contents: Contents | null; variables: Variable[] | null }

const columns = sql`
  templates.code, templates.name, templates.msg_type as "msgType", templates.enabled, templates.version,
  templates.revision, templates.draft, versions.contents, versions.variables`
const tables = sql`
  templates left join template_versions as versions
    on versions.template_code = templates.code and versions.version = templates.version`

function templateOf({ contents, variables, ...row }: Row): Template {
  const published = contents === null ? undefined : (variables ?? inferred(variablesOf(contents)))
  return { ...row, variables: published ?? row.draft?.variables ?? [] }
}

/** Only those enabled and published that say nothing on any other channel than these; undefined: all. */
function usableOn(channels: readonly string[] | undefined): SQL {
  if (channels === undefined) return sql`true`
  return sql`templates.enabled and (versions.contents - ${texts(channels)}) = '{}'`
}

/** The template of that code; with `channels`, if it can be pushed by whoever has these alone. */
export async function findTemplate(db: Db, code: string, channels?: readonly string[]): Promise<Template | undefined> {
  const [row] = await query<Row>(
    db,
    sql`select ${columns} from ${tables} where templates.code = ${code} and ${usableOn(channels)}`,
  )
  return row && templateOf(row)
}

/** Templates by code; with `channels`, those that can be pushed by whoever has these alone. */
export async function listTemplates(
  db: Db,
  { after, limit, channels }: { after: string | undefined; limit: number; channels: readonly string[] | undefined },
): Promise<Template[]> {
  const rows = await query<Row>(
    db,
    sql`
    select ${columns} from ${tables}
    where templates.code collate "C" > ${after ?? ''} and ${usableOn(channels)}
    order by templates.code collate "C"
    limit ${limit}`,
  )
  return rows.map(templateOf)
}

/** Versions of a template, latest first; or the one of that number. */
export async function listVersions(
  db: Db,
  code: string,
  { before, version, limit }: { before?: number | undefined; version?: number | undefined; limit: number },
): Promise<TemplateVersion[]> {
  const rows = await query<
    { body: TemplateBody & { variables: Variable[] | null } } & Omit<TemplateVersion, keyof TemplateBody>
  >(
    db,
    sql`
    select versions.version, versions.restored_from as "restoredFrom", versions.created_at as "createdAt",
      ${bodyOf(sql`templates`)} as body
    from template_versions as versions join templates on templates.code = versions.template_code
    where templates.code = ${code} and versions.version < ${before ?? 2 ** 31 - 1}
      and versions.version = coalesce(${version ?? null}::int, versions.version)
    order by versions.version desc
    limit ${limit}`,
  )
  return rows.map(({ body, ...row }) => ({
    ...body,
    ...row,
    variables: body.variables ?? inferred(variablesOf(body.contents)),
  }))
}

/** The refusal of a code that no template has. */
export function unknown(code: string): Refusal {
  return new Refusal('TEMPLATE_NOT_FOUND', { zh: `模板 ${code} 不存在`, en: `there is no template ${code}` })
}
