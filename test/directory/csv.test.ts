import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readTable } from '../../src/directory/csv.ts'
import type { TableKind } from '../../src/directory/csv-columns.ts'
import { readEncoding, type Encoding } from '../../src/directory/csv-encoding.ts'

/** In pieces of so many bytes, as a network cuts a file. */
const inPieces = (bytes: Uint8Array, size: number) =>
  async function* () {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  }
async function read(file: string | Uint8Array, how: { kind?: TableKind; encoding?: Encoding; piece?: number } = {}) {
  const bytes = typeof file === 'string' ? Buffer.from(file) : file
  const table = await readTable(how.kind ?? 'user', inPieces(bytes, how.piece ?? 7), how.encoding)
  const rows = []
  for await (const row of table.rows) rows.push(row)
  return { ...table, rows }
}
const values = async (...how: Parameters<typeof read>) => (await read(...how)).rows.map(({ row }) => row)

/** Node reads GB18030 but does not write it: the two-byte characters, turned round. */
const twoBytes = new Map<string, number[]>()
for (let lead = 0x81; lead <= 0xfe; lead++)
  for (let trail = 0x40; trail <= 0xfe; trail++) {
    const text = new TextDecoder('gb18030').decode(Uint8Array.of(lead, trail))
    if (text.length === 1 && text !== '\ufffd' && text.charCodeAt(0) > 0x7f) twoBytes.set(text, [lead, trail])
  }
const gb18030 = (text: string) =>
  Uint8Array.from([...text].flatMap((one) => twoBytes.get(one) ?? [...Buffer.from(one, 'ascii')]))

const write: Record<string, (text: string) => Uint8Array> = {
  'utf-8': (text) => Buffer.from(text),
  'utf-8 with BOM': (text) => Buffer.from(`\ufeff${text}`),
  gb18030,
  'utf-16le with BOM': (text) => Buffer.from(`\ufeff${text}`, 'utf16le'),
}

describe('a table of people', () => {
  const PERSON = { code: 'U1', name: '张三', phone: '13800000000', depts: ['D1', 'D2'], enabled: true }

  it('is read by the names of its columns, Chinese or English, in any order, whatever stands between them', async () => {
    expect(await values('工号,姓名,手机号,科室,启用\nU1,张三,13800000000,D1|D2,是\n')).toEqual([PERSON])
    expect(await values('Enabled;Dept_Code;PHONE;Name; code\n1;D1、D2;13800000000;张三;U1')).toEqual([PERSON])
    expect(await values('在职\tDept Code\t电话\tName\t ＣＯＤＥ\n在职\tD1；D2\t13800000000\t张三\tU1')).toEqual([
      PERSON,
    ])
    expect(await values('\n\n工号，姓名\nU1，张三')).toEqual([{ code: 'U1', name: '张三' }])
  })

  it('tells the columns that say nothing here, and leaves them out', async () => {
    const { ignored, count, rows } = await read('code,血型,name,,__proto__\nU1,A,张三,x,y\n')
    expect([ignored, count]).toEqual([['血型', '__proto__'], 1])
    expect(rows).toMatchObject([{ line: 2, row: { code: 'U1', name: '张三' } }])
    expect(Object.keys(rows[0]?.row ?? {})).toEqual(['code', 'name'])
  })

  it('says of an empty cell that there is none, of a column that is not there nothing', async () => {
    const rows = await values('code,name,phone,depts,enabled\nU1,张三,,,\n')
    expect(rows).toEqual([{ code: 'U1', name: '张三', phone: '', depts: [] }])
  })

  it('may have quotes, line breaks in cells, Windows line ends, empty lines, and codes as Excel keeps their zeros', async () => {
    const { rows } = await read('code,name\r\n\r\nU1,"张""三\r\n李"\r\n\r\n="007",a"b\r\nU3, c \r\n')
    expect(rows.map(({ line, row }) => [line, row['code'], row['name']])).toEqual([
      [3, 'U1', '张"三\n李'],
      [6, '007', 'a"b'],
      [7, 'U3', 'c'],
    ])
  })

  it('names the line whose cells do not fit its first, or whose word for enabled is none', async () => {
    const { rows } = await read('code,name,enabled\nU1,张三\nU2,张三,是,多\nU3,张三,也许\nU4,张三,否,,\n')
    expect(rows.map(({ line, row, wrong }) => [line, row['code'], wrong?.path])).toEqual([
      [2, 'U1', '(line)'],
      [3, 'U2', '(line)'],
      [4, 'U3', 'enabled'],
      [5, 'U4', undefined],
    ])
  })

  it('of departments has parents; of posts and roles codes and names', async () => {
    expect(await values('科室编码,科室名称,上级编码\nD1,内科,\n', { kind: 'dept' })).toEqual([
      { code: 'D1', name: '内科', parentCode: '' },
    ])
    expect(await values('岗位编码,岗位名称\nP1,主任\n', { kind: 'post' })).toEqual([{ code: 'P1', name: '主任' }])
    expect(await values('角色编码,角色名称,状态\nR1,值班,停用\n', { kind: 'role' })).toEqual([
      { code: 'R1', name: '值班', enabled: false },
    ])
  })

  it.each([
    ['', '第 1 行没有编码列'],
    ['姓名,手机号\n张三,1\n', '第 1 行没有编码列，请命名为 code 或“工号”；现有：姓名, 手机号'],
    ['code,工号\nU1,U1\n', '第 1 行有多列都是 code：code, 工号'],
  ])('is refused whole without one column of codes: %j', async (text, why) => {
    await expect(read(text)).rejects.toMatchObject({ code: 'BAD_INPUT', zh: expect.stringContaining(why) })
  })

  it('is refused whole when a quote is not closed, by the line, however long the rest', async () => {
    const table = (rest: string) => read(`code,name\nU1,a\n\nU2,"b\n${rest}`, { piece: 4096 })
    await expect(table('')).rejects.toThrow('quote that is not closed, opened in line 3 or after')
    await expect(table('U3,c\n'.repeat(50_000))).rejects.toThrow('quote that is not closed, opened in line 3 or after')
  })

  it('is refused when one line is as long as a book', async () => {
    await expect(read(`code,name\nU1,${'x'.repeat(300_000)}`, { piece: 65_536 })).rejects.toThrow('more than 256 KiB')
  })
})

describe('its encoding', () => {
  it.each(Object.keys(write))('may be %s', async (name) => {
    const file = write[name]!('工号,姓名\nU1,张三\nU2,欧阳娜娜\n')
    for (const piece of [1, 2, 3, 5, 1_000])
      expect((await values(file, { piece })).map(({ name }) => name)).toEqual(['张三', '欧阳娜娜'])
  })

  it('is told by the whole file: a first name that could be UTF-8 misleads nobody', async () => {
    // In GB18030 these are two bytes that are also one letter of UTF-8.
    const [name, last] = ['通', '张']
    expect(new TextDecoder().decode(gb18030(name))).toBe('\u0368')
    const file = gb18030(`code,name\nU1,${name}\n${'U2,ascii\n'.repeat(10_000)}U3,${last}\n`)
    const rows = await values(file, { piece: 4096 })
    expect([rows[0]?.['name'], rows.at(-1)?.['name']]).toEqual([name, last])
  })

  it('may be said, under the names that people know', async () => {
    expect(await values(gb18030('code,name\nU1,通\n'), { encoding: readEncoding(' GBK ')! })).toEqual([
      { code: 'U1', name: '通' },
    ])
    expect(['UTF8', 'gb2312', 'utf-16', 'latin1', 'constructor'].map(readEncoding)).toEqual([
      'utf-8',
      'gb18030',
      'utf-16le',
      undefined,
      undefined,
    ])
  })

  it('is refused by the line that is in none, or not in the one that was said', async () => {
    const bad = Buffer.concat([Buffer.from('code,name\nU1,张三\nU2,'), Buffer.from([0xff, 0xff]), Buffer.from('\n')])
    await expect(read(bad)).rejects.toThrow('line 3 is not in utf-8')
    await expect(read(gb18030('code,name\nU1,张三\n'), { encoding: 'utf-8' })).rejects.toThrow('line 2 is not in utf-8')
    const cut = Buffer.from('\ufeffcode\nU1\n', 'utf16le').subarray(0, -1)
    await expect(read(cut)).rejects.toThrow('is not in utf-16le')
  })
})

it('any table comes back as it was written, with the line of every row', async () => {
  const cell = fc.string({ unit: fc.constantFrom(...'ab1 ,;|"\n', '张', '龥', '，', '’'), maxLength: 8 })
  const code = fc.stringMatching(/^[A-Z0-9]{1,6}$/)
  const table = fc.array(fc.tuple(code, cell), { maxLength: 12 })
  const how = fc.record({
    delimiter: fc.constantFrom(',', ';', '\t'),
    end: fc.constantFrom('\n', '\r\n', '\r'),
    encoding: fc.constantFrom(...Object.keys(write)),
    piece: fc.integer({ min: 1, max: 50 }),
    lastEnd: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(table, how, async (people, { delimiter, end, encoding, piece, lastEnd }) => {
      const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`.replaceAll('\n', end)
      const lines = [['code', 'name'], ...people.map(([code, name]) => [code, quoted(name)])]
      const text = lines.map((cells) => cells.join(delimiter)).join(end) + (lastEnd ? end : '')
      const { rows } = await read(write[encoding]!(text), { piece })
      let line = 2
      const expected = people.map(([code, name]) => {
        const at = line
        line += name.split('\n').length
        return [at, code, name.trim()]
      })
      expect(rows.map(({ line, row, wrong }) => [line, row['code'], wrong ?? row['name']])).toEqual(expected)
    }),
    { numRuns: 300 },
  )
})
