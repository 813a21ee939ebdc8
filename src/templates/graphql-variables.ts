/** The variables of a template in GraphQL, and what may be wrong with it: what all its other types speak of. */
import { builder } from '../graphql/builder.ts'
import type { Problem } from './problems.ts'
import { VARIABLE_TYPES, type Variable } from './variables.ts'

const about: Record<(typeof VARIABLE_TYPES)[number], string> = {
  string: 'Any text.',
  number: 'A number such as `12.5`.',
  date: 'A date, with a time or without: `2026-08-04`, `2026-08-04 12:15:12`.',
  boolean: '`true` or `false`; `{% if … %}` understands it.',
  url: 'An http(s) address, or a path that starts with a single `/`.',
  phone: 'A mobile number.',
}

const VariableType = builder.enumType('VariableType', {
  description: "What a variable's value must look like. A push that gives another is refused.",
  values: Object.fromEntries(
    VARIABLE_TYPES.map((type) => [type.toUpperCase(), { value: type, description: about[type] }]),
  ) as Record<string, { value: (typeof VARIABLE_TYPES)[number]; description: string }>,
})

export const VariableRef = builder.objectRef<Variable>('DeclaredVariable').implement({
  description: 'A variable of a template.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name: a key of `channelParamData`.' }),
    type: t.expose('type', { type: VariableType, description: 'What a value must look like.' }),
    required: t.exposeBoolean('required', { description: 'Whether every push must give it.' }),
    example: t.exposeString('example', { nullable: true, description: 'What previews use.' }),
    default: t.exposeString('default', {
      nullable: true,
      description: 'What an optional one is when a push leaves it out; null: empty.',
    }),
    sensitive: t.exposeBoolean('sensitive', {
      description: 'Whether its values are nobody’s business but the recipient’s.',
    }),
  }),
})

const VariableInput = builder.inputType('DeclaredVariableInput', {
  description: 'Declares a variable of a template.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name in the template; at most 64 characters.' }),
    type: t.field({ type: VariableType, description: '`STRING` unless told.' }),
    required: t.boolean({ description: 'Whether every push must give it; true unless told.' }),
    example: t.string({ description: 'What previews and checks use; at most 2,000 characters.' }),
    default: t.string({ description: 'What an optional one is when a push leaves it out.' }),
    sensitive: t.boolean({ description: 'Whether its values are to be kept from others; false unless told.' }),
  }),
})

const CONTENTS =
  'Channel id → content, as in the documented `channelData`: `{ "1002": { "title": …, "content": … } }`. Every text is Liquid. ' +
  'What people get whose language has nothing of its own.'
const LOCALES =
  'Language (BCP 47) → the same, for people of that language: `{ "en": { "1002": … } }`. `en` serves `en-US` as well.'
const VARIABLES =
  'What a push must or may give. Without it: what the texts name, as it was declared before or else as required text.'

type InputFieldBuilder = Parameters<NonNullable<Parameters<typeof builder.inputType>[1]['fields']>>[0]

/** What both inputs of a template have. */
export function bodyFields(t: InputFieldBuilder) {
  return {
    name: t.string({ required: true, description: 'What people call it; at most 100 characters.' }),
    msgType: t.string({ description: 'The `msgType` of its messages; `notice` unless told.' }),
    contents: t.field({ type: 'JSON', required: true, description: CONTENTS }),
    locales: t.field({ type: 'JSON', description: LOCALES }),
    variables: t.field({ type: [VariableInput], description: VARIABLES }),
  }
}

const Severity = builder.enumType('ProblemSeverity', {
  description: 'How bad a problem is.',
  values: {
    ERROR: { value: 'error', description: 'Such a template is not saved and not published.' },
    WARNING: { value: 'warning', description: 'It may be what you want.' },
  } as const,
})

export const ProblemRef = builder.objectRef<Problem>('TemplateProblem').implement({
  description: 'What is wrong with a template, or may be.',
  fields: (t) => ({
    severity: t.expose('severity', { type: Severity, description: 'How bad it is.' }),
    path: t.exposeString('path', {
      description: 'Where: `contents.1002.content`, `locales.en.1002.title`, `variables.name`.',
    }),
    line: t.int({
      nullable: true,
      description: 'The line in the text at `path`, from 1.',
      resolve: ({ line }) => line,
    }),
    column: t.int({ nullable: true, description: 'The column in it, from 1.', resolve: ({ column }) => column }),
    zh: t.exposeString('zh', { description: 'What it is, in Chinese.' }),
    en: t.exposeString('en', { description: 'What it is, in English.' }),
  }),
})
