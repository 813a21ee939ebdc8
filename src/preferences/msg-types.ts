/** Message types: those of MSG_TYPES, each with its name and whether somebody can switch it off. */
import { sql } from 'drizzle-orm'
import { auditing, type By } from '../audit/audit.ts'
import { codePoints } from '../check.ts'
import type { Context } from '../context.ts'
import { json, query } from '../db/client.ts'
import { badInput } from '../errors.ts'

const NAME_LENGTH = 60

export type MsgType = { code: string; name: string | null; isMandatory: boolean }

/** Every type that a push may name. */
export function listMsgTypes({ db, config }: Pick<Context, 'db' | 'config'>): Promise<MsgType[]> {
  return query<MsgType>(
    db,
    sql`
      select type as code, name, coalesce(is_mandatory, false) as "isMandatory"
      from jsonb_array_elements_text(${json(config.MSG_TYPES)}::jsonb) with ordinality as types (type, place)
      left join msg_types on code = type
      order by place`,
  )
}

/** Says of a type what it is called and whether it is mandatory. What is mandatory reaches also those who had switched it off. */
export async function setMsgType(context: Context, by: By, { code, name, isMandatory }: MsgType): Promise<MsgType> {
  const types = context.config.MSG_TYPES
  if (!types.includes(code))
    throw badInput(
      'code',
      `只能是 MSG_TYPES 中的 ${types.join(', ')}`,
      `must be one of MSG_TYPES, which are ${types.join(', ')}`,
    )
  if (name !== null && (name.trim() === '' || codePoints(name) > NAME_LENGTH))
    throw badInput('name', `应为 1 到 ${NAME_LENGTH} 个字符`, `must have 1 to ${NAME_LENGTH} characters`)
  const told = sql`jsonb_build_object('name', name, 'isMandatory', is_mandatory)`
  await query(
    context.db,
    sql`
      with was as (select name, is_mandatory from msg_types where code = ${code} for update),
      changed as (
        insert into msg_types (code, name, is_mandatory)
        -- Counted, so that the row is locked before it is changed.
        select ${code}, ${name}::text, ${isMandatory}::boolean where (select count(*) from was) >= 0
        on conflict (code) do update set name = excluded.name, is_mandatory = excluded.is_mandatory
        where (msg_types.name, msg_types.is_mandatory) is distinct from (excluded.name, excluded.is_mandatory)
        returning name, is_mandatory
      ),
      audited as (${auditing(
        by,
        'msg-type.set',
        sql`select ${code}::text as subject, (select ${told} from was) as before, ${told} as after from changed`,
      )})
      select 1 as one`,
  )
  return { code, name, isMandatory }
}
