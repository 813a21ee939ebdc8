/** Keeps what can be said: templates, each with versions that never change once written. */
import { and, eq, sql } from 'drizzle-orm'
import { json, query, type Db } from '../db/client.ts'
import { templates, templateVersions } from '../db/tables.ts'

/** A template with the version that pushes use now. `contents`: channel id → content whose strings are Liquid. */
export type PublishedTemplate = {
  code: string
  name: string
  msgType: string
  enabled: boolean
  version: number
  contents: Record<string, unknown>
}

/** Writes a template and publishes it as the next version, whose number it returns. A disabled one stays disabled. */
export async function saveTemplate(
  db: Db,
  { code, name, msgType, contents }: Pick<PublishedTemplate, 'code' | 'name' | 'msgType' | 'contents'>,
): Promise<number> {
  const [saved] = await query<{ version: number }>(
    db,
    sql`
    with template as (
      insert into templates (code, name, msg_type, version)
      values (${code}, ${name}, ${msgType}, 1)
      on conflict (code) do update
      set name = excluded.name, msg_type = excluded.msg_type, version = templates.version + 1
      returning code, version
    )
    insert into template_versions (template_code, version, contents)
    select code, version, ${json(contents)}::jsonb from template
    returning version`,
  )
  return saved!.version
}

/** The template of that code as pushes use it now, disabled ones too. */
export async function publishedTemplate(db: Db, code: string): Promise<PublishedTemplate | undefined> {
  const [row] = await db
    .select({
      code: templates.code,
      name: templates.name,
      msgType: templates.msgType,
      enabled: templates.enabled,
      version: templates.version,
      contents: templateVersions.contents,
    })
    .from(templates)
    .innerJoin(
      templateVersions,
      and(eq(templateVersions.templateCode, templates.code), eq(templateVersions.version, templates.version)),
    )
    .where(eq(templates.code, code))
  return row
}
