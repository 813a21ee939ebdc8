import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../kit/posthouse.ts'
import { stores } from '../kit/stores.ts'
import { CHANNEL, channelBody } from './door.ts'

const good = JSON.stringify(channelBody({ businessId: 'B' }))
const instead = (of: string, by: string) => good.replace(of, by)
const bytes = (...parts: (string | number[])[]) => Buffer.concat(parts.map((part) => Buffer.from(part as string)))

/** What is wrong, the body, and what the answer says. */
const bodies: [string, string | Uint8Array, string][] = [
  ['nothing', '', '为空，应为 JSON 对象'],
  ['blanks', ' \n ', '为空，应为 JSON 对象'],
  ['two BOMs', `\uFEFF\uFEFF${good}`, '第 1 行第 1 列'],
  ['null', 'null', '应为 JSON 对象'],
  ['a list', '[]', '应为 JSON 对象'],
  ['a text', '"x"', '应为 JSON 对象'],
  ['form fields', 'appId=1', '第 1 行第 1 列：JSON 格式错误'],
  ['a full-width comma', '{\n  "a": "x"，\n  "b": 1}', '第 2 行第 11 列：全角“，”，应为半角“,”'],
  ['full-width quotes', '{“a”: 1}', '第 1 行第 2 列：全角““”，应为半角“"”'],
  ['a full-width colon', '{"a"：1}', '第 1 行第 5 列：全角“：”，应为半角“:”'],
  ['an ideographic space', '{\u3000"a": 1}', '第 1 行第 2 列：全角'],
  ['a trailing comma in an object', '{"code": 404,\r\n"msg": "x",\r\n}', '第 3 行第 1 列：} 前多余的逗号'],
  ['a trailing comma in a list', '[1, ]', '第 1 行第 5 列：] 前多余的逗号'],
  ['no end', '{"a": 1', '第 1 行第 8 列：JSON 格式错误'],
  ['two values', '{"a": 1} {"b": 2}', '第 1 行第 10 列：JSON 格式错误'],
  ['a comment', '{"a": 1} // note', '第 1 行第 10 列：JSON 格式错误'],
  ['single quotes', "{'a': 1}", '第 1 行第 2 列：JSON 格式错误'],
  ['NaN', '{"a": NaN}', '第 1 行第 7 列：JSON 格式错误'],
  ['a line break in a text', '{"a": "x\ny"}', '第 1 行第 7 列：JSON 格式错误'],
  ['nesting without end', '['.repeat(500_000), '嵌套超过 200 层'],
  ['nesting that ends', '['.repeat(500_000) + ']'.repeat(500_000), '嵌套超过 20 层'],
  [
    'deep nesting in a field nobody reads',
    instead('{', `{"x": ${'{"y":'.repeat(30)}1${'}'.repeat(30)}, `),
    '嵌套超过 20 层',
  ],
  ['bytes that are not UTF-8', bytes('{"a": "', [0xff, 0xfe], '"}'), '不是 UTF-8 编码'],
  ['GBK', bytes('{"msg": "', [0xb2, 0xd9, 0xd7, 0xf7], '"}'), '不是 UTF-8 编码'],
  ['UTF-16', Buffer.from(good, 'utf16le'), '(body)'],
  ['half a surrogate pair as bytes', bytes('{"a": "', [0xed, 0xa0, 0xbd], '"}'), '不是 UTF-8 编码'],
  ['overlong bytes', bytes('{"a": "', [0xc0, 0x80], '"}'), '不是 UTF-8 编码'],
  ['NUL in a value', instead('"B"', '"B\\u0000"'), 'businessId: 含有 NUL 字符'],
  ['NUL in a list', instead('"USER001"', '"USER001\\u0000"'), 'receiverData.user.0: 含有 NUL 字符'],
  ['NUL in a key', instead('"title"', '"title\\u0000"'), 'channelData.1002.(key): 含有 NUL 字符'],
  ['NUL in a field nobody reads', instead('{', '{"x": ["\\u0000"], '), 'x.0: 含有 NUL 字符'],
  ['half a surrogate pair in a value', instead('"B"', '"\\ud800"'), 'businessId: 含有不完整的 Unicode 字符'],
  ['the other half in a value', instead('"B"', '"\\udc00x"'), 'businessId: 含有不完整的 Unicode 字符'],
  ['half a surrogate pair in a key', instead('{', '{"\\udfff": 1, '), '(key): 含有不完整的 Unicode 字符'],
  ['__proto__ as a channel', instead('"1002"', '"__proto__"'), 'channelData.__proto__: 渠道不可用'],
]

describe.each(stores)('400 for a body, on $name', (store) => {
  let posthouse: Awaited<ReturnType<typeof run>>
  beforeAll(async () => {
    posthouse = await run(store)
  })
  afterAll(() => posthouse.stop())

  it.each(bodies)('refuses %s', async (_what, body, text) => {
    const answer = await posthouse.post(CHANNEL, body)
    expect(answer.body).toEqual({ code: 400, msg: expect.stringContaining(text) })
    expect(answer.body.msg).toMatch(/^参数有误：/)
    expect(answer.body.msg.isWellFormed()).toBe(true)
    expect(answer.status).toBe(400)
  })

  it('names a place however deep without cutting a character in two', async () => {
    const key = '😀'.repeat(15)
    const { body } = await posthouse.post(CHANNEL, `{"${key}": ${`{"${key}":`.repeat(30)}1${'}'.repeat(30)}}`)
    expect(body).toEqual({ code: 400, msg: expect.stringContaining('嵌套超过 20 层') })
    expect(body.msg.isWellFormed()).toBe(true)
  })
})
