/** Reads a table of users or groups as a stream: of any length, in little memory, each row with the line it begins in. */
import { pipeline, Readable } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { badInput, type Refusal } from '../errors.ts'
import { delimiterOf, isHeader, readCells, readHeader, type Header, type TableKind, type Wrong } from './csv-columns.ts'
import { decided, decoded, type Encoding, type Source } from './csv-encoding.ts'

/** Characters of a record. What is longer has a quote that is opened and not closed. */
const RECORD_LENGTH = 64 * 1024

export type Table = {
  encoding: Encoding
  /** Columns whose names say nothing here. */
  ignored: string[]
  /** How many rows there are. */
  count: number
  rows: AsyncGenerator<TableRow>
}
export type TableRow = {
  line: number
  /** As the directory takes it; unchecked. */
  row: Record<string, unknown>
  /** The line itself is wrong: its row is not to be kept. */
  wrong?: Wrong | undefined
}

/**
 * Opens a table whose first line names its columns. It is read to its end once before any row of it is given: one that is in no
 * encoding (`wanted`: not in this one), has no column of codes or a quote that is not closed is refused whole, by its line.
 */
export async function readTable(kind: TableKind, source: Source, wanted?: Encoding): Promise<Table> {
  const encoding = await decided(source, wanted, (line) => isHeader(kind, line))
  let header: Header | undefined
  let count = 0
  for await (const { cells } of recordsOf(kind, decoded(source(), encoding))) {
    if (header === undefined) header = readHeader(kind, cells)
    else count += 1
  }
  header ??= readHeader(kind, [])
  return { encoding, ignored: header.ignored, count, rows: rowsOf(kind, source, encoding) }
}

async function* rowsOf(kind: TableKind, source: Source, encoding: Encoding): AsyncGenerator<TableRow> {
  let header: Header | undefined
  for await (const { line, cells } of recordsOf(kind, decoded(source(), encoding))) {
    if (header === undefined) header = readHeader(kind, cells)
    else yield { line, ...readCells(header, cells) }
  }
}

/** The records of a CSV text, empty lines left out. */
async function* recordsOf(
  kind: TableKind,
  text: AsyncGenerator<string>,
): AsyncGenerator<{ line: number; cells: string[] }> {
  const start = await firstLineOf(text)
  let endOfLast = 0
  const parser = parse({
    delimiter: delimiterOf(kind, start.trimStart().split('\n', 1)[0] ?? ''),
    record_delimiter: '\n',
    info: true,
    // How many cells there are is judged line by line, and a quote inside a word is only a quote.
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    max_record_size: RECORD_LENGTH,
    // Heard of at once, while records still wait to be taken, which an error throws away.
    on_record(record: string[], { lines }) {
      endOfLast = lines
      return record
    },
  })
  async function* whole() {
    yield start
    yield* text
  }
  // What fails in the text ends the parser with the same error.
  pipeline(Readable.from(whole()), parser, () => {})
  try {
    for await (const one of parser) {
      const { record, info } = one as { record: string[]; info: { lines: number } }
      const inside = record.reduce((breaks, cell) => breaks + cell.split('\n').length - 1, 0)
      yield { line: info.lines - inside, cells: record }
    }
  } catch (error) {
    if (error instanceof CsvError) throw notClosed(endOfLast + 1)
    throw error
  }
}

/** The text up to the end of its first line that is not blank, or further. */
async function firstLineOf(text: AsyncGenerator<string>): Promise<string> {
  let start = ''
  for (;;) {
    const { value, done } = await text.next()
    if (done) return start
    start += value
    if (start.trimStart().includes('\n')) return start
  }
}

/** All that can be wrong with a text that takes quotes inside of words for what they are. */
function notClosed(line: number): Refusal {
  return badInput(
    '(file)',
    `第 ${line} 行或其后有引号没有配对`,
    `has a quote that is not closed, opened in line ${line} or after`,
  )
}
