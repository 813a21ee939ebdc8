/** One contender of bench:delivery in a process of its own, so that none bears what another has left in memory. */
import postgres from 'postgres'
import { posthouse } from './delivery-house.ts'
import { bareLoop, graphileWorker, pgBoss, type Contender } from './delivery-peers.ts'

/** Done before, and not counted: a worker runs for weeks, and is compiled after a second. */
const WARM_UP = 20_000

const contenders: Record<string, Contender> = { bareLoop, posthouse, pgBoss, graphileWorker }
const [name = '', url = '', jobs = ''] = process.argv.slice(2)
const contend = contenders[name]
if (contend === undefined) throw new Error(`there is no contender ${name}`)
await contend(url, WARM_UP)
// Otherwise its time has in it what another wrote, and all its pages go into the log whole once more.
const admin = postgres(url, { max: 1, onnotice: () => {} })
await admin`checkpoint`
await admin.end()
console.log(await contend(url, Number(jobs)))
process.exit(0)
