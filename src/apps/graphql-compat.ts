/** An app's compatibility switches in GraphQL; what each does is in docs/rest.md. */
import type { Compat } from '../db/tables.ts'
import { builder } from '../graphql/builder.ts'

const HttpStatus = builder.enumType('CompatHttpStatus', {
  description: 'The HTTP status of documented answers.',
  values: {
    MIRROR: { value: 'mirror', description: 'The same as the code in the body; so it is without the switch.' },
    ALWAYS_200: { value: 'always200', description: 'Always 200; the truth is in the body alone.' },
  } as const,
})

const TemplatePriority = builder.enumType('CompatTemplatePriority', {
  description: 'How the `priority` of a template push is read.',
  values: {
    ZERO_ONE_TWO: { value: '012', description: '2 high, 1 normal, 0 low; so it is without the switch.' },
    ONE_TWO_THREE: { value: '123', description: '3 high, 2 normal, 1 low, as in a plain push.' },
  } as const,
})

const ParamErrorCode = builder.enumType('CompatParamErrorCode', {
  description: "The body's `code` for bad input.",
  values: {
    CODE_400: { value: 400, description: '400; so it is without the switch.' },
    CODE_404: { value: 404, description: "404, as in the document's failure sample." },
  } as const,
})

const about = {
  httpStatus: 'The HTTP status of documented answers. Null: MIRROR.',
  codeAsString: "Whether the body's `code` is a string. Null: it is a number.",
  paramErrorCode: "The body's `code` for bad input. Null: CODE_400.",
  templatePriority: 'How the `priority` of a template push is read. Null: ZERO_ONE_TWO.',
  deptIncludesDescendants: 'Whether naming a dept reaches its sub-departments. Null: it does.',
}

export const AppCompat = builder.objectRef<Compat>('AppCompat').implement({
  description: 'How an app wants the documented calls read and answered. Null: as the document says.',
  fields: (t) => ({
    httpStatus: t.expose('httpStatus', { type: HttpStatus, nullable: true, description: about.httpStatus }),
    codeAsString: t.exposeBoolean('codeAsString', { nullable: true, description: about.codeAsString }),
    paramErrorCode: t.expose('paramErrorCode', {
      type: ParamErrorCode,
      nullable: true,
      description: about.paramErrorCode,
    }),
    templatePriority: t.expose('templatePriority', {
      type: TemplatePriority,
      nullable: true,
      description: about.templatePriority,
    }),
    deptIncludesDescendants: t.exposeBoolean('deptIncludesDescendants', {
      nullable: true,
      description: about.deptIncludesDescendants,
    }),
  }),
})

export const AppCompatInput = builder.inputType('AppCompatInput', {
  description: 'How an app wants the documented calls read and answered. What is left out: as the document says.',
  fields: (t) => ({
    httpStatus: t.field({ type: HttpStatus, description: about.httpStatus }),
    codeAsString: t.boolean({ description: about.codeAsString }),
    paramErrorCode: t.field({ type: ParamErrorCode, description: about.paramErrorCode }),
    templatePriority: t.field({ type: TemplatePriority, description: about.templatePriority }),
    deptIncludesDescendants: t.boolean({ description: about.deptIncludesDescendants }),
  }),
})
