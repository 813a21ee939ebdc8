/**
 * What authors do. A draft lies beside the versions until it is published as the next one. Every change of either raises the
 * template's revision and names the revision it was made from, so that of two authors the second is told, and nobody
 * publishes what he has not seen.
 */
import { sql, type SQL } from 'drizzle-orm'
import { auditing, type By } from '../audit/audit.ts'
import { json, query, type Db } from '../db/client.ts'
import { badInput, Refusal } from '../errors.ts'
import type { TemplateBody } from './draft.ts'
import { bodyOf, findTemplate, putVersion, unknown } from './templates.ts'

/**
 * Saves the draft of a template, new or known. `revision`: of the template as its author has read it; undefined makes a
 * new one. Refuses with CONFLICT when it stands at another.
 */
export async function saveDraft(
  db: Db,
  by: By,
  code: string,
  body: TemplateBody,
  revision: number | undefined,
): Promise<void> {
  const [saved] = await query(
    db,
    sql`
    with given as (select ${code}::text as code, ${json(body)}::jsonb as body),
    old as (select * from templates where code = ${code} and revision = ${revision ?? null}::int for update),
    made as (
      insert into templates (code, name, msg_type, version, draft)
      select code, body ->> 'name', body ->> 'msgType', 0, body || '{"basedOn": 0}' from given
      where ${revision === undefined}
      on conflict (code) do nothing
      returning code, draft
    ),
    changed as (
      update templates
      set draft = given.body || jsonb_build_object('basedOn', old.version), revision = old.revision + 1,
        name = case old.version when 0 then given.body ->> 'name' else old.name end,
        msg_type = case old.version when 0 then given.body ->> 'msgType' else old.msg_type end
      from old, given
      where templates.code = old.code
      returning templates.code, old.draft as before, templates.draft as after
    ),
    saved as (select code, null::jsonb as before, draft as after from made union all select * from changed),
    audited as (${auditing(by, 'template.saveDraft', sql`select code as subject, before, after from saved`)})
    select code from saved`,
  )
  if (saved === undefined) throw await conflict(db, code, revision)
}

/** Throws the draft away. */
export async function discardDraft(db: Db, by: By, code: string, revision: number): Promise<void> {
  const [discarded] = await query(
    db,
    sql`
    with old as (${standingAt(code, revision)}),
    changed as (
      update templates set draft = null, revision = old.revision + 1
      from old where templates.code = old.code
      returning templates.code, old.draft
    ),
    audited as (${auditing(by, 'template.discardDraft', sql`select code as subject, draft as before, null::jsonb as after from changed`)})
    select code from changed`,
  )
  if (discarded === undefined) throw await conflict(db, code, revision)
}

/** Publishes the draft as the next version: pushes use it from now on. */
export async function publishDraft(db: Db, by: By, code: string, revision: number): Promise<void> {
  const isDone = await publish(
    db,
    by,
    'template.publish',
    sql`select old.*, old.draft - 'basedOn' as body, null::int as restored_from from (${standingAt(code, revision)}) as old`,
  )
  if (!isDone) throw await conflict(db, code, revision)
}

/** Publishes what an old version says as the next version; a draft stays as it is. */
export async function rollBack(db: Db, by: By, code: string, toVersion: number, revision: number): Promise<void> {
  const isDone = await publish(
    db,
    by,
    'template.rollBack',
    sql`
      select old.*, ${bodyOf(sql`old`)} as body, versions.version as restored_from
      from (select * from templates where code = ${code} and revision = ${revision} and version > 0 for update) as old
      join template_versions as versions on versions.template_code = old.code and versions.version = ${toVersion}
        and versions.version < old.version`,
  )
  if (isDone) return
  const template = await findTemplate(db, code)
  if (template?.revision !== revision) throw await conflict(db, code, revision)
  throw badInput(
    'toVersion',
    `没有更早的版本 ${toVersion}，当前版本为 ${template.version}`,
    `is no earlier version: the template is at ${template.version}`,
  )
}

/** `made`: the locked row as it stood, with `body` and `restored_from`. False: there is none. */
async function publish(db: Db, by: By, act: string, made: SQL): Promise<boolean> {
  const [published] = await query(
    db,
    sql`
    with old as (${made}),
    changed as (
      update templates
      set version = old.version + 1, name = old.body ->> 'name', msg_type = old.body ->> 'msgType',
        draft = case when old.restored_from is null then null else templates.draft end, revision = old.revision + 1
      from old
      where templates.code = old.code
      returning templates.code, templates.version, old.body, old.restored_from,
        jsonb_build_object('version', nullif(old.version, 0), 'name', old.name, 'msgType', old.msg_type) as before,
        jsonb_build_object(
          'version', templates.version, 'name', templates.name, 'msgType', templates.msg_type,
          'restoredFrom', old.restored_from
        ) as after
    ),
    ${putVersion(sql`select * from changed`)},
    audited as (${auditing(by, act, sql`select code as subject, before, after from changed`)})
    select code from changed`,
  )
  return published !== undefined
}

/** Lets pushes use it, or refuses them. */
export async function setEnabled(db: Db, by: By, code: string, enabled: boolean): Promise<void> {
  await query(
    db,
    sql`
    with changed as (
      update templates set enabled = ${enabled} where code = ${code} and enabled <> ${enabled} returning code
    ),
    audited as (${auditing(
      by,
      'template.setEnabled',
      sql`select code as subject, jsonb_build_object('enabled', ${!enabled}::boolean) as before,
        jsonb_build_object('enabled', ${enabled}::boolean) as after from changed`,
    )})
    select code from changed`,
  )
}

/** The row as somebody has read it, with a draft, locked. */
function standingAt(code: string, revision: number): SQL {
  return sql`select * from templates where code = ${code} and revision = ${revision} and draft is not null for update`
}

/** Why nothing was changed. */
async function conflict(db: Db, code: string, revision: number | undefined): Promise<Refusal> {
  const template = await findTemplate(db, code)
  if (template === undefined) return unknown(code)
  if (template.revision === revision && template.draft === null)
    return badInput('code', `模板 ${code} 没有草稿`, `names a template without a draft: save one first`)
  return new Refusal('CONFLICT', {
    path: 'revision',
    zh: `模板 ${code} 已被修改，现为修订 ${template.revision}，请重新读取后再改`,
    en: `template ${code} stands at revision ${template.revision}: read it again and make your change there`,
  })
}
