/** A gateway's HTTP API as tests need it: one that keeps what it gets, and channels to it. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import getTLSOptions from 'smtp-server/lib/tls-options.js'
import { loadConfig } from '../../src/config.ts'
import type { Carrier, Outcome, Parcel } from '../../src/delivery/channel.ts'

export const closers: (() => Promise<void>)[] = []
/** For `afterEach`: closes what was opened, last first. */
export async function closeAll() {
  for (const close of closers.splice(0).toReversed()) await close()
}

export type Got = {
  method: string
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  body: string
}
export type Answering = (got: Got, response: ServerResponse) => void

/** A gateway that keeps what it gets and answers as told. */
export async function gateway(answer: Answering) {
  const got: Got[] = []
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString()
    const { pathname, searchParams } = new URL(`http://gateway${request.url}`)
    const one = { method: request.method ?? '', path: pathname, query: searchParams, headers: request.headers, body }
    got.push(one)
    answer(one, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return { got, host: `127.0.0.1:${port}` }
}

/** One with a certificate that nobody vouches for; gives its host and port. */
export async function tlsGateway(
  answer: (response: ServerResponse) => void = (response) => void response.end('OK'),
): Promise<string> {
  const { key, cert } = getTLSOptions()
  const server = createTlsServer({ key: String(key), cert: String(cert) }, (_request, response) => answer(response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** One that has the request, and on whose connection comes then what is no TLS. */
export async function tlsBrokenAfterRequest(): Promise<string> {
  const clients = new Set<Socket>()
  const behind = await tlsGateway(() => clients.forEach((client) => client.write('this is no TLS record')))
  const server = createTcpServer((client) => {
    const inner = connect(Number(behind.split(':')[1]), '127.0.0.1')
    clients.add(client)
    client.on('error', () => {}).pipe(inner)
    inner.on('error', () => {}).pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(async () => {
    for (const client of clients) client.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Refuses with HTTP 200 and a code of its own, as a vendor with a JSON API does. */
export const jsonVendor: Answering = ({ body }, response) => {
  const { mobile = '' } = JSON.parse(body) as { mobile?: string }
  response.setHeader('content-type', 'application/json')
  if (mobile === '13900000001') response.end('{"code":"4001","msg":"号码在黑名单"}')
  else if (mobile === '13900000002') response.end('{"code":5000,"msg":"try later"}')
  else response.end('{"code":0,"data":{"id":9007199254740993123}}')
}

/** Wants everything in the query and answers in plain text. */
export const textVendor: Answering = ({ query }, response) =>
  void response.end(query.get('mobile') === '13900000001' ? 'ERR:BLACKLIST\r\n' : 'OK:123\r\n')

export const ID = '0199c0ffee0070008000000000000001'
const MESSAGE = '0199c0ffee0070008000000000000002'
export const parcel = (more: Partial<Parcel> = {}): Parcel => ({
  id: ID,
  messageId: MESSAGE,
  address: '+8618660886275',
  content: { sign: '人民医院', content: '您的检验报告已出' },
  attempt: 1,
  ...more,
})
export const saying = (content: Record<string, unknown>) => parcel({ content: { ...parcel().content, ...content } })

/** A channel URL of its parts, encoded. */
export const urlOf = (address: string, query: Record<string, string> = {}) =>
  `http://${address}?${new URLSearchParams(query).toString()}`
export const mistakesOf = (url: string) => loadConfig({ CHANNEL_1001: url }).mistakes

export function open(url: string): Carrier {
  const { config, mistakes } = loadConfig({ CHANNEL_1001: url })
  if (config === undefined) throw new Error(mistakes.join('\n'))
  const channel = config.channels.get('1001')
  return channel?.provider.open(channel.settings, { info: () => {} }) as Carrier
}
export const send = (url: string, what = parcel(), milliseconds = 10_000): Promise<Outcome> =>
  open(url).send(what, AbortSignal.timeout(milliseconds))

const JSON_BODY = '{"ref":"{{ id }}","mobile":"{{ phone }}","text":"【{{ sign }}】{{ text }}"}'
export const JSON_VENDOR = {
  'posthouse.body': JSON_BODY,
  'posthouse.ok': 'code=0|200',
  'posthouse.receipt': 'data.id',
  'posthouse.permanent': 'code=4001|4002',
}
export const TEXT_VENDOR = {
  'posthouse.method': 'GET',
  'posthouse.ok': 'text^=OK:',
  'posthouse.receipt': 'text^=OK:',
  'posthouse.permanent': 'text^=ERR:BLACK|ERR:FORMAT',
  mobile: '{{ phone }}',
  msg: '【{{ sign }}】{{ text }}',
  key: 'sesame-and-more',
}
