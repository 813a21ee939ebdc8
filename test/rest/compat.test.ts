import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Compat } from '../../src/db/tables.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody, makeApp, TEMPLATE, templateBody } from './door.ts'

type Expected = { status: number; code: number | string }
/** Per setting: what a success, bad input, an unknown template and a missing grant come to. */
const settings: [Compat, { ok: Expected; bad: Expected; unknown: Expected; denied: Expected }][] = [
  [
    {},
    {
      ok: { status: 200, code: 200 },
      bad: { status: 400, code: 400 },
      unknown: { status: 404, code: 404 },
      denied: { status: 401, code: 401 },
    },
  ],
  [
    { httpStatus: 'always200' },
    {
      ok: { status: 200, code: 200 },
      bad: { status: 200, code: 400 },
      unknown: { status: 200, code: 404 },
      denied: { status: 200, code: 401 },
    },
  ],
  [
    { codeAsString: true },
    {
      ok: { status: 200, code: '200' },
      bad: { status: 400, code: '400' },
      unknown: { status: 404, code: '404' },
      denied: { status: 401, code: '401' },
    },
  ],
  [
    { paramErrorCode: 404 },
    {
      ok: { status: 200, code: 200 },
      bad: { status: 404, code: 404 },
      unknown: { status: 404, code: 404 },
      denied: { status: 401, code: 401 },
    },
  ],
  [
    { httpStatus: 'always200', codeAsString: true, paramErrorCode: 404 },
    {
      ok: { status: 200, code: '200' },
      bad: { status: 200, code: '404' },
      unknown: { status: 200, code: '404' },
      denied: { status: 200, code: '401' },
    },
  ],
]

describe.each(stores)('compat settings, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  it.each(settings)('answer as %j says', async (compat, { ok, bad, unknown, denied }) => {
    const { id, headers } = await makeApp(posthouse, { compat, grants: ['channel:*'] })
    const cases: [Expected, string, Record<string, unknown>][] = [
      [ok, CHANNEL, channelBody({ appId: id })],
      [bad, CHANNEL, channelBody({ appId: id, priority: 'x' })],
      [unknown, TEMPLATE, templateBody({ appId: id, templateCode: 'NOPE' })],
      [denied, CHANNEL, channelBody({ appId: id, receiverType: 'all', receiverData: null })],
    ]
    for (const [expected, path, body] of cases) {
      const answer = await posthouse.post(path, body, headers)
      expect({ status: answer.status, code: answer.body.code }).toEqual(expected)
    }
  })
})
