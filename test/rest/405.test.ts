import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { restCalls } from '../../src/rest.ts'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

describe.each(stores)('405, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  it.each(
    restCalls.flatMap((call) =>
      METHODS.filter((method) => method !== call.method).map((method) => ({ ...call, wrong: method })),
    ),
  )('answers $wrong $path with the method to use', async ({ wrong, path, method }) => {
    const response = await fetch(posthouse.url + path, { method: wrong })
    expect(await response.json()).toEqual({ code: 400, msg: `请求方法不支持：请使用 ${method}` })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe(method)
  })
})
