/** A full sync of the directory in GraphQL, for the admin: begin, batches, finish. */
import { byOf } from '../audit/audit.ts'
import { checkText } from '../check.ts'
import type { DirectoryKind } from '../db/tables.ts'
import { builder } from '../graphql/builder.ts'
import { RowProblemRef } from './graphql-upsert.ts'
import { abandon, begin, findRun, finish, type Run } from './sync.ts'

const KindEnum = builder.enumType('DirectoryKind', {
  description: 'What the directory holds.',
  values: {
    USER: { value: 'user', description: 'Users, and the groups they belong to of the kinds that are covered too.' },
    DEPT: { value: 'dept', description: 'Departments.' },
    POST: { value: 'post', description: 'Posts.' },
    ROLE: { value: 'role', description: 'Roles.' },
  } as const,
})

const RunState = builder.enumType('DirectoryRunState', {
  description: 'Where a sync or an import is.',
  values: {
    OPEN: { value: 'open', description: 'It takes batches.' },
    FINISHING: { value: 'finishing', description: 'What it did not name is being disabled.' },
    FINISHED: { value: 'finished', description: 'It is done.' },
    ABANDONED: { value: 'abandoned', description: 'It was given up; nothing was disabled.' },
    FAILED: { value: 'failed', description: 'It could not go on: see `failure`.' },
  } as const,
})

const RunRef = builder.objectRef<Run>('DirectoryRun').implement({
  description: 'A full sync, or the import of a file, and how far it is.',
  fields: (t) => ({
    id: t.exposeString('id', { description: "The caller's own id." }),
    state: t.expose('state', { type: RunState, description: 'Where it is.' }),
    isFull: t.exposeBoolean('isFull', { description: 'What it did not name is disabled at the end.' }),
    covers: t.expose('covers', { type: [KindEnum], description: 'Of which kinds it names all there are.' }),
    batches: t.exposeInt('batches', { description: 'Batches that are in.' }),
    created: t.exposeInt('created', { description: 'Rows that were new.' }),
    changed: t.exposeInt('changed', { description: 'Rows that were there and are now different.' }),
    unchanged: t.exposeInt('unchanged', { description: 'Rows that were already so.' }),
    refused: t.exposeInt('refused', { description: 'Rows that were wrong.' }),
    disabled: t.exposeInt('disabled', { description: 'What it did not name and was therefore disabled.' }),
    expected: t.exposeInt('expected', { nullable: true, description: 'Rows that are to come; null: unknown.' }),
    problems: t.expose('problems', {
      type: [RowProblemRef],
      description: 'What was wrong with which row: of the first thousand or so.',
    }),
    failure: t.exposeString('failure', { nullable: true, description: 'Why it failed.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', description: 'When it was begun.' }),
    touchedAt: t.expose('touchedAt', { type: 'DateTime', description: 'When something last happened to it.' }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
  }),
})

const RUN = 'Its id: 1 to 64 letters, digits or `_ . : -`.'

builder.queryField('directoryRun', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    authScopes: { admin: true },
    description: 'A sync or an import; null when there is none of that id.',
    args: { run: t.arg.string({ required: true, description: RUN }) },
    resolve: async (_root, { run }, { posthouse }) => {
      checkText(run, 'run')
      return (await findRun(posthouse.db, run)) ?? null
    },
  }),
)

builder.mutationField('beginSync', (t) =>
  t.field({
    type: RunRef,
    authScopes: { admin: true },
    description:
      'Begins a full sync, or goes on with the open one of that id and says how far it is. Then come the upserts with its `run`, then `finishSync`. One may be open; one that nobody touches for an hour does not stand in the way.',
    args: {
      run: t.arg.string({ required: true, description: RUN }),
      covers: t.arg({
        type: [KindEnum],
        description: 'Of which kinds it will name all there are; only of these anything is disabled. None: all four.',
      }),
      expected: t.arg.int({ description: 'Rows that are to come, for whoever watches.' }),
    },
    resolve: (_root, { run, covers, expected }, context) => {
      checkText(run, 'run')
      const kinds = covers as DirectoryKind[] | null | undefined
      return begin(context.posthouse.db, byOf(context), {
        run,
        covers: kinds,
        isFull: true,
        expected: expected ?? undefined,
      })
    },
  }),
)

builder.mutationField('finishSync', (t) =>
  t.field({
    type: RunRef,
    authScopes: { admin: true },
    description:
      'Ends a sync: what it did not name is disabled, and leaves its groups. Refused, with the numbers, when that is a larger share than SYNC_GUARD_PERCENT of the enabled ones of a kind, unless confirmed; the sync then stays open. Calling it again changes nothing.',
    args: {
      run: t.arg.string({ required: true, description: RUN }),
      confirm: t.arg.boolean({ description: 'Disable them even so.' }),
    },
    resolve: (_root, { run, confirm }, context) => {
      checkText(run, 'run')
      const { store, config } = context.posthouse
      return finish(store.patient, byOf(context), run, { confirm, guardPercent: config.SYNC_GUARD_PERCENT })
    },
  }),
)

builder.mutationField('abandonSync', (t) =>
  t.field({
    type: RunRef,
    authScopes: { admin: true },
    description: 'Gives a sync up: what came with it stays, and nothing is disabled.',
    args: { run: t.arg.string({ required: true, description: RUN }) },
    resolve: (_root, { run }, context) => {
      checkText(run, 'run')
      return abandon(context.posthouse.db, byOf(context), run)
    },
  }),
)
