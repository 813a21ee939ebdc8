import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { APP, eventually, talkTo } from '../kit/posthouse.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const PHONE = '18660886275'
const MAIL = 'somebody.else@example.org'
const KEYS = {
  ADMIN_KEY: 'admin-key-of-the-tests-0123456789abcdef',
  INBOX_JWT_SECRET: 'inbox-secret-of-the-tests-0123456789abcdef',
}

let folder: string
let child: ReturnType<typeof spawn>
let said = ''
let logged = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'posthouse-'))
  child = spawn(process.execPath, [MAIN], {
    env: { PATH: process.env['PATH'], PORT: '0', DATA_DIR: folder, LOG_LEVEL: 'trace', ...KEYS },
  })
  child.stdout?.on('data', (chunk) => (said += chunk))
  child.stderr?.on('data', (chunk) => (logged += chunk))
})
afterAll(async () => {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
  rmSync(folder, { recursive: true, force: true })
})

it('says in the log that something would go out, not to whom; GraphQL tells the admin both', async () => {
  const url = await eventually(() => /(http:\/\/\S+)\/graphql/.exec(said)?.[1], 50_000)
  const posthouse = talkTo(url)
  const { body } = await posthouse.post('/api/openApi/message/push/channel', {
    appId: APP,
    receiverType: 'custom',
    receiverData: { '1001': [PHONE, 'USER002'], '1003': [MAIL] },
    channelData: {
      '1001': { content: 'the words of the SMS' },
      '1003': { title: 'the subject', content: 'the words of the mail' },
    },
  })
  expect(body.code).toBe(200)
  await eventually(() => logged.split('log: would go out').length === 4)
  expect(logged).toContain(body.msgId)
  // USER002's own phone was looked up: it is nowhere in the request.
  expect(logged).not.toMatch(/18660886275|18660886834|somebody|example\.org|the words|the subject/)
  const { data } = await posthouse.graphql(
    KEYS.ADMIN_KEY,
    'query ($id: ID!) { message(id: $id) { channels { content } deliveries { edges { node { recipient } } } } }',
    { id: body.msgId },
  )
  for (const shown of [PHONE, 'USER002', MAIL, 'the words of the SMS', 'the words of the mail'])
    expect(JSON.stringify(data)).toContain(shown)
})
