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

const LONG = 'f3b1c96e0d4a87725e1f6c0b93a8d2e4'
const OTHER = '0c7e52d9a4b8136ff8d20b6e9a51c374'
const SECRETS = { ADMIN_KEY: LONG, INBOX_JWT_SECRET: OTHER }
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
    [{ REDIS_URL: 'redis://u:p%40@cache:6379/2' }, { REDIS_URL: 'redis://u:p%40@cache:6379/2' }],
    [{ REDIS_URL: 'rediss://cache' }, { REDIS_URL: 'rediss://cache' }],
    [{ REDIS_URL_FILE: file('redis://:p@cache\n') }, { REDIS_URL: 'redis://:p@cache' }],
    [{ TIME_ZONE: 'Europe/Berlin' }, { TIME_ZONE: 'Europe/Berlin' }],
    [{ PUBLIC_URL: 'https://h.example' }, { PUBLIC_URL: 'https://h.example' }],
    [{ PUBLIC_URL: 'https://h.example:8443/hub//' }, { PUBLIC_URL: 'https://h.example:8443/hub' }],
    [{}, { TRUSTED_PROXIES: [], ALLOWED_ORIGINS: [] }],
    [{ TRUSTED_PROXIES: '10.0.0.0/8, fd00::1,' }, { TRUSTED_PROXIES: ['10.0.0.0/8', 'fd00::1'] }],
    [
      { ALLOWED_ORIGINS: 'https://his.example.org,http://10.1.2.3:8080' },
      { ALLOWED_ORIGINS: ['https://his.example.org', 'http://10.1.2.3:8080'] },
    ],
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
    [{ REDIS_URL: 'http://cache' }, /^REDIS_URL .*redis:\/\/user:password@host:6379/],
    [{ REDIS_URL: 'redis://cache/hints' }, /^REDIS_URL .*only a number/],
    [{ REDIS_URL: 'redis://:50%@cache' }, /^REDIS_URL .*%-encoded/],
    [{ DATABASE_URL: 'mysql://db' }, /^DATABASE_URL .*postgres:\/\/user:password@host:5432\/database/],
    [{ ADMIN_KEY: 'short' }, /^ADMIN_KEY .*32 characters/],
    [{ INBOX_JWT_SECRET: 'short' }, /^INBOX_JWT_SECRET .*32 characters/],
    [{ TIME_ZONE: 'Asia/Atlantis' }, /^TIME_ZONE .*Asia\/Shanghai.*"Asia\/Atlantis"/],
    [{ PUBLIC_URL: 'http://h.example' }, /^PUBLIC_URL .*https:\/\/posthouse.example.org.*"http:\/\/h.example"/],
    [{ PUBLIC_URL: 'https://' }, /^PUBLIC_URL /],
    [{ PUBLIC_URL: 'https://h.example/?a=b' }, /^PUBLIC_URL /],
    [{ PUBLIC_URL: 'https://u:p@h.example' }, /^PUBLIC_URL /],
    [{ PUBLIC_URL: 'https://h.example/>x' }, /^PUBLIC_URL /],
    [{ PUBLIC_URL: `https://h.example/${'x'.repeat(300)}` }, /^PUBLIC_URL /],
    [{ TRUSTED_PROXIES: '10.0.0.0/8,proxy' }, /^TRUSTED_PROXIES .*10\.1\.0\.0\/16/],
    [{ TRUSTED_PROXIES: '10.0.0.0/33' }, /^TRUSTED_PROXIES /],
    [{ TRUSTED_PROXIES: 'fe80::1%eth0' }, /^TRUSTED_PROXIES /],
    [{ ALLOWED_ORIGINS: '*' }, /^ALLOWED_ORIGINS .*https:\/\/his\.example\.org/],
    [{ ALLOWED_ORIGINS: 'https://his.example.org/' }, /^ALLOWED_ORIGINS /],
    [{ ALLOWED_ORIGINS: 'https://HIS.example.org' }, /^ALLOWED_ORIGINS /],
    [{ ALLOWED_ORIGINS: 'https://his.example.org:443' }, /^ALLOWED_ORIGINS /],
    [{ ALLOWED_ORIGINS: 'his.example.org' }, /^ALLOWED_ORIGINS /],
    [{ ALLOWED_ORIGINS: 'null' }, /^ALLOWED_ORIGINS /],
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
  it.each([
    ['a'.repeat(40), /^ADMIN_KEY looks like an example/],
    ['change-me-change-me-change-me-change-me', /^ADMIN_KEY looks like an example/],
    ['your-secret-goes-here-f3b1c96e0d4a8772', /^ADMIN_KEY looks like an example/],
    ['0123456789abcdef0123456789abcdef', /^ADMIN_KEY looks like an example/],
    [OTHER, /^INBOX_JWT_SECRET is the same as ADMIN_KEY/],
  ])('that others can guess is refused where others can reach us: %s', (ADMIN_KEY, mistake) => {
    const env = { ...SECRETS, ADMIN_KEY }
    expect(loadConfig({ ...env, HOST: '0.0.0.0' }).mistakes).toEqual([expect.stringMatching(mistake)])
    expect(loadConfig(env).mistakes).toEqual([])
  })

  it('is read from a file, without the line end', () => {
    expect(loadConfig({ ADMIN_KEY_FILE: file(`${LONG}\n`) }).config?.ADMIN_KEY).toBe(LONG)
    expect(
      loadConfig({ HOST: '0.0.0.0', ADMIN_KEY_FILE: file(LONG), INBOX_JWT_SECRET_FILE: file(OTHER) }).mistakes,
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
    { REDIS_URL: 'http://u:geheim@cache' },
    { REDIS_URL: 'redis://u:geheim%zz@cache' },
    { CHANNEL_1003: 'smtp://u:geheim@mail' },
    { CHANNEL_1003: 'smtq://u:geheim@mail' },
    { CHANNEL_1003: 'u:geheim@mail' },
    { CHANNEL_1003: 'smtp://u:geheim%zz@mail?from=a@b.org' },
    { CHANNEL_1003: '//u:geheim@mail' },
    { CHANNEL_1003: 'smtp://u:p#geheim@mail?from=a@b.org' },
    { CHANNEL_1003: 'smtp://u:p#rate=1&geheim@mail?from=a@b.org' },
    { CHANNEL_1003: 'smtp(smtp://u:geheim@mail)' },
    { CHANNEL_1003: 'failover(smtp://u:geheim@mail, log:mail)' },
    { CHANNEL_1003: 'failover(log:, smtq://u:geheim@mail?from=a@b.org)' },
    { CHANNEL_1003: 'failover(log:mail, smtp://u:p#geheim@mail?from=a@b.org)' },
    { CHANNEL_1003: 'failover(log:mail, smtp://u:geheim@mail?from=a@b.org' },
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
        server: { secure: true, host: 'mail', port: 465, auth: { user: 'u', pass: 'p@' } },
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

describe('the limits of a channel', () => {
  const limits = (url: string) => channel({ CHANNEL_1003: url }, '1003')?.limits

  it('are the usual ones, or those of its provider', () => {
    expect(limits('log:')).toEqual({ concurrency: 10, rate: undefined, timeoutSeconds: 20, attempts: 12 })
    expect(limits('smtp://mail?from=a@b.org')?.concurrency).toBe(5)
  })

  it.each<[string, Record<string, number>]>([
    [
      'log:#concurrency=20&rate=100&timeout=15&attempts=8',
      { concurrency: 20, rate: 100, timeoutSeconds: 15, attempts: 8 },
    ],
    ['log:mail#attempts=1', { concurrency: 10, attempts: 1 }],
    ['log:#concurrency=2000&timeout=120&attempts=50', { concurrency: 2_000, timeoutSeconds: 120, attempts: 50 }],
    ['log:#concurrency=1&timeout=1', { concurrency: 1, timeoutSeconds: 1 }],
    ['smtp://mail?from=a@b.org#rate=5/s', { rate: 5, concurrency: 5 }],
    ['smtp://u:p%23@mail?from=a@b.org&fromName=%23#rate=30/min', { rate: 0.5 }],
    ['smtp://mail?from=a@b.org#concurrency=9', { concurrency: 9 }],
    ['log:#rate=0.25', { rate: 0.25 }],
    ['log:#rate=20%2Fmin', { rate: 1 / 3 }],
  ])('stand behind the # of its URL: %s', (url, expected) => {
    expect(limits(url)).toMatchObject(expected)
  })

  it('leave a # alone that is written %23', () => {
    const settings = channel({ CHANNEL_1003: 'smtp://u:p%23@mail?from=a@b.org&fromName=%23#rate=1' }, '1003')?.settings
    expect(settings).toMatchObject({ server: { auth: { pass: 'p#' } }, fromName: '#' })
  })

  it.each<[string, RegExp]>([
    ['log:#', /nothing behind its #; write #concurrency=20&rate=100&timeout=15&attempts=8/],
    ['log:#&', /nothing behind its #/],
    ['log:#speed=5', /no limit; write #concurrency=20&.* or %23/],
    ['log:#Rate=5', /no limit; write #concurrency=20&/],
    ['log:#constructor=5', /no limit; write #concurrency=20&/],
    ['log:#rate', /unusable rate= behind its #; write .*20\/min/],
    ['log:#rate=0', /unusable rate=0 .*; write .*20\/min/],
    ['log:#rate=-1', /unusable rate=-1 /],
    ['log:#rate=1e9', /unusable rate=1e9 /],
    ['log:#rate=5/h', /unusable rate=5\/h .*5\/s.*20\/min/],
    ['log:#rate=999999999', /unusable rate=/],
    [`log:#rate=${'9'.repeat(400)}`, /unusable rate=/],
    ['log:#concurrency=0', /unusable concurrency=0 .*from 1 to 2000/],
    ['log:#concurrency=2001', /unusable concurrency=2001 .*from 1 to 2000/],
    ['log:#concurrency=2.5', /unusable concurrency=2.5 .*whole number/],
    ['log:#timeout=121', /unusable timeout=121 .*from 1 to 120/],
    ['log:#timeout=15s', /unusable timeout=15s .*from 1 to 120/],
    ['log:#attempts=51', /unusable attempts=51 .*from 1 to 50/],
    ['log:#attempts=3&attempts=4', /attempts twice .*write it once/],
    ['log:#attempts=3#rate=5', /unusable attempts=3#rate=5 /],
  ])('that are wrong are named with their fix: %s', (url, mistake) => {
    const { mistakes } = loadConfig({ CHANNEL_1003: url })
    expect(mistakes).toEqual([expect.stringMatching(mistake)])
    expect(mistakes[0]).toMatch(/^CHANNEL_1003 has /)
  })

  it('are reported together with what else is wrong', () => {
    expect(loadConfig({ CHANNEL_1003: 'smtp://mail#rate=x&timeout=0' }).mistakes).toHaveLength(3)
  })
})
