import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../src/config.ts'

const folder = mkdtempSync(join(tmpdir(), 'posthouse-config-'))
afterAll(() => rmSync(folder, { recursive: true }))
function file(text: string): string {
  const path = join(folder, `${Math.random()}`)
  writeFileSync(path, text)
  return path
}

const LONG = 'a'.repeat(32)
const SECRETS = { ADMIN_KEY: LONG, INBOX_JWT_SECRET: LONG }
const channel = (env: Record<string, string>, id: string) => {
  const { config, mistakes } = loadConfig(env)
  expect(mistakes).toEqual([])
  return config?.channels.get(id)
}

describe('without any setting', () => {
  it('runs on loopback, embedded, in Chinese time, with three channels', () => {
    const { config } = loadConfig({})
    expect(config).toMatchObject({
      HOST: '127.0.0.1',
      PORT: 4000,
      DATA_DIR: './data',
      TIME_ZONE: 'Asia/Shanghai',
      LOG_LEVEL: 'info',
      SAMPLE_DATA: true,
      ALLOW_LOSSY_DATABASE: false,
      isLoopback: true,
    })
    expect(config?.DATABASE_URL).toBeUndefined()
    expect(
      [...(config?.channels.values() ?? [])].map(({ id, kind, provider }) => [id, kind, provider.schemes[0]]),
    ).toEqual([
      ['1001', 'sms', 'log'],
      ['1002', 'site', 'inbox'],
      ['1003', 'mail', 'log'],
    ])
  })

  it('takes an empty setting for one that is not set', () => {
    expect(loadConfig({ PORT: '', DATABASE_URL: '', CHANNEL_1001: '' }).config).toEqual(loadConfig({}).config)
  })

  it('pays no attention to variables that are not ours', () => {
    expect(loadConfig({ PGHOST: 'elsewhere', npm_config_port: '1', NODE_ENV: 'production' }).config).toEqual(
      loadConfig({}).config,
    )
  })
})

describe('a setting', () => {
  it.each<[Record<string, string>, Record<string, unknown>]>([
    [{ PORT: '0' }, { PORT: 0 }],
    [{ PORT: '65535' }, { PORT: 65_535 }],
    [{ DATABASE_URL: 'postgres://u:p@db/posthouse' }, { DATABASE_URL: 'postgres://u:p@db/posthouse' }],
    [{ DATABASE_URL: 'postgresql://db' }, { DATABASE_URL: 'postgresql://db' }],
    [{ TIME_ZONE: 'Europe/Berlin' }, { TIME_ZONE: 'Europe/Berlin' }],
    [{ SAMPLE_DATA: 'no' }, { SAMPLE_DATA: false }],
    [{ ALLOW_LOSSY_DATABASE: 'yes' }, { ALLOW_LOSSY_DATABASE: true }],
    [{ HOST: 'localhost' }, { isLoopback: true }],
    [{ HOST: '::1' }, { isLoopback: true }],
    [
      { HOST: '0.0.0.0', ...SECRETS },
      { HOST: '0.0.0.0', isLoopback: false },
    ],
  ])('is read: %j', (env, expected) => {
    expect(loadConfig(env).config).toMatchObject(expected)
  })

  it.each<[Record<string, string>, RegExp]>([
    [{ PORT: '65536' }, /^PORT .*0–65535.*"65536"/],
    [{ PORT: 'http' }, /^PORT .*0–65535.*"http"/],
    [{ PORT: '-1' }, /^PORT /],
    [{ PORT: '4e3' }, /^PORT /],
    [{ DATABASE_URL: 'mysql://db' }, /^DATABASE_URL .*postgres:\/\/user:password@host:5432\/database/],
    [{ ADMIN_KEY: 'short' }, /^ADMIN_KEY .*32 characters/],
    [{ INBOX_JWT_SECRET: 'short' }, /^INBOX_JWT_SECRET .*32 characters/],
    [{ TIME_ZONE: 'Asia/Atlantis' }, /^TIME_ZONE .*Asia\/Shanghai.*"Asia\/Atlantis"/],
    [{ LOG_LEVEL: 'loud' }, /^LOG_LEVEL .*trace, debug, info/],
    [{ SAMPLE_DATA: 'true' }, /^SAMPLE_DATA .*yes nor no.*"true"/],
    [{ ALLOW_LOSSY_DATABASE: '1' }, /^ALLOW_LOSSY_DATABASE .*yes nor no/],
  ])('that is wrong is named with its fix: %j', (env, mistake) => {
    const { config, mistakes } = loadConfig(env)
    expect(config).toBeUndefined()
    expect(mistakes).toEqual([expect.stringMatching(mistake)])
  })

  it('is reported together with all the others', () => {
    const { mistakes } = loadConfig({
      PORT: 'x',
      TIME_ZONE: 'y',
      LOG_LEVEL: 'z',
      CHANNEL_1003: 'smtp://mail',
      CHANNEL_abc: 'log:',
    })
    expect(mistakes.map((mistake) => mistake.split(' ')[0])).toEqual(
      expect.arrayContaining(['PORT', 'TIME_ZONE', 'LOG_LEVEL', 'CHANNEL_1003', 'CHANNEL_abc']),
    )
    expect(mistakes).toHaveLength(5)
  })

  it.each(['ADMIN_KEY', 'INBOX_JWT_SECRET'])('%s must be there when others can reach us', (missing) => {
    const { mistakes } = loadConfig({ HOST: '0.0.0.0', ...SECRETS, [missing]: '' })
    expect(mistakes).toEqual([expect.stringMatching(new RegExp(`^${missing} must be set .*openssl rand -hex 32`))])
  })
})

describe('a secret', () => {
  it('is read from a file, without the line end', () => {
    expect(loadConfig({ ADMIN_KEY_FILE: file(`${LONG}\n`) }).config?.ADMIN_KEY).toBe(LONG)
    expect(
      loadConfig({ HOST: '0.0.0.0', ADMIN_KEY_FILE: file(LONG), INBOX_JWT_SECRET_FILE: file(LONG) }).mistakes,
    ).toEqual([])
    expect(channel({ CHANNEL_1003_FILE: file('smtp://mail?from=a@b.org\n') }, '1003')?.provider.schemes).toContain(
      'smtp',
    )
  })

  it('is not taken from two places', () => {
    expect(loadConfig({ ADMIN_KEY: LONG, ADMIN_KEY_FILE: file(LONG) }).mistakes).toEqual([
      expect.stringMatching(/ADMIN_KEY_FILE are both set/),
    ])
  })

  it.each(['ADMIN_KEY_FILE', 'DATABASE_URL_FILE', 'CHANNEL_1003_FILE'])('%s that cannot be read is named', (name) => {
    expect(loadConfig({ [name]: join(folder, 'missing') }).mistakes).toEqual([
      expect.stringMatching(new RegExp(`^${name} cannot be read`)),
    ])
  })

  it.each<Record<string, string>>([
    { ADMIN_KEY: 'geheim' },
    { INBOX_JWT_SECRET: 'geheim' },
    { DATABASE_URL: 'mysql://u:geheim@db' },
    { CHANNEL_1003: 'smtp://u:geheim@mail' },
    { CHANNEL_1003: 'smtq://u:geheim@mail' },
    { CHANNEL_1003: 'u:geheim@mail' },
    { CHANNEL_1003: 'smtp://u:geheim%zz@mail?from=a@b.org' },
    { CHANNEL_1003: '//u:geheim@mail' },
    { ADMIN_KEY_FILE: file('geheim') },
  ])('never shows in what is said about it: %j', (env) => {
    const { mistakes } = loadConfig(env)
    expect(mistakes).toHaveLength(1)
    expect(mistakes.join()).not.toContain('geheim')
  })
})

describe('a channel', () => {
  it('is chosen by its scheme; its id, or the word behind it, tells what it carries', () => {
    expect(channel({ CHANNEL_1001: 'log:' }, '1001')).toMatchObject({ kind: 'sms' })
    expect(channel({ CHANNEL_1003: 'smtps://u:p%40@mail:465?from=a@b.org&fromName=A' }, '1003')).toMatchObject({
      kind: 'mail',
      settings: {
        secure: true,
        host: 'mail',
        port: 465,
        auth: { user: 'u', pass: 'p@' },
        from: 'a@b.org',
        fromName: 'A',
      },
    })
    expect(channel({ CHANNEL_2001: 'log:mail' }, '2001')).toMatchObject({ kind: 'mail' })
    expect(channel({ CHANNEL_2001: 'log:sms' }, '2001')).toMatchObject({ kind: 'sms' })
  })

  it('is taken away with off, and may move the inbox', () => {
    expect(channel({ CHANNEL_1003: 'off' }, '1003')).toBeUndefined()
    expect(channel({ CHANNEL_1002: 'off', CHANNEL_7: 'inbox:' }, '7')).toMatchObject({ kind: 'site' })
  })

  it.each<[Record<string, string>, RegExp]>([
    [{ CHANNEL_1003: 'smtp://mail' }, /^CHANNEL_1003 .*\?from=/],
    [{ CHANNEL_1003: 'smtp://mail?from=nobody' }, /^CHANNEL_1003 .*\?from=/],
    [{ CHANNEL_1003: 'smtp:?from=a@b.org' }, /^CHANNEL_1003 .*smtp:\/\/host/],
    [{ CHANNEL_1001: 'pigeon://loft' }, /^CHANNEL_1001 .*"pigeon".*log:/],
    [{ CHANNEL_1001: 'log' }, /^CHANNEL_1001 .*log:/],
    [{ CHANNEL_1001: 'inbox:' }, /second inbox/],
    [{ CHANNEL_SMS: 'log:' }, /^CHANNEL_SMS .*digits/],
    [{ CHANNEL_1003: 'log:pigeon' }, /^CHANNEL_1003 .*log:mail/],
  ])('that is wrong is named with its fix: %j', (env, mistake) => {
    expect(loadConfig(env).mistakes).toEqual([expect.stringMatching(mistake)])
  })
})
