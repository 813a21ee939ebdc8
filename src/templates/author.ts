/** The acts of an author on a running Posthouse: what is saved and published is checked against its channels first. */
import type { By } from '../audit/audit.ts'
import type { Context } from '../context.ts'
import { readCode, readDraft, type DraftInput } from './draft.ts'
import { examine, refuseErrors, type Problem } from './problems.ts'
import { publishDraft, rollBack, saveDraft } from './publish.ts'
import { findTemplate, listVersions, unknown, type Template } from './templates.ts'
import type { Variable } from './variables.ts'

/** What came of an act: the template as it stands now, and what may be wrong with what it says. */
export type Done = { template: Template; warnings: Problem[] }

/** Checks a draft and saves it; refuses one with errors by the first of them. */
export async function save(
  context: Context,
  by: By,
  input: DraftInput & { code: string; revision?: number | null | undefined },
): Promise<Done> {
  const code = readCode(input.code)
  const draft = readDraft(input, context.config.MSG_TYPES)
  const { body, problems } = examine(context.channels, draft, await knownVariables(context, code))
  refuseErrors(problems)
  await saveDraft(context.db, by, code, body, input.revision ?? undefined)
  return done(context, code, problems)
}

/** Publishes the draft, checked again: the channels may be others by now. */
export async function publish(context: Context, by: By, code: string, revision: number): Promise<Done> {
  const draft = (await find(context, code)).draft
  const problems = draft === null ? [] : examine(context.channels, draft).problems
  refuseErrors(problems)
  await publishDraft(context.db, by, code, revision)
  return done(context, code, problems)
}

/** Publishes an old version again. It is not refused for what is wrong with it, since it may be needed at once; that is told. */
export async function restore(
  context: Context,
  by: By,
  code: string,
  toVersion: number,
  revision: number,
): Promise<Done> {
  await rollBack(context.db, by, code, toVersion, revision)
  const [version] = await listVersions(context.db, code, { version: toVersion, limit: 1 })
  return done(context, code, version === undefined ? [] : examine(context.channels, version).problems)
}

async function done(context: Context, code: string, warnings: Problem[]): Promise<Done> {
  return { template: await find(context, code), warnings }
}

/** The template of that code, or the refusal that there is none. */
export async function find({ db }: Context, code: string): Promise<Template> {
  const template = await findTemplate(db, code)
  if (template === undefined) throw unknown(code)
  return template
}

/** What was said of variables before, so that an author who only changes the wording need not say it again. */
export async function knownVariables({ db }: Context, code: string): Promise<Variable[]> {
  const template = await findTemplate(db, code)
  return template === undefined ? [] : [...(template.draft?.variables ?? []), ...template.variables]
}
