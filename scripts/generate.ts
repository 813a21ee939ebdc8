/** npm run generate: writes everything that follows from the code, in an order in which each can read what it needs. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fromCode, fromOperations, ROOT } from './generated.ts'

write(fromCode())
write(await fromOperations())

function write(files: Map<string, string>): void {
  for (const [path, text] of files) {
    mkdirSync(dirname(`${ROOT}${path}`), { recursive: true })
    writeFileSync(`${ROOT}${path}`, text)
  }
  console.log(`Wrote ${[...files.keys()].join(', ')}`)
}
