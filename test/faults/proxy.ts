import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'

/**
 * A TCP proxy before a server that can fall silent: what it holds then neither arrives nor is closed, as when a machine
 * or a cable is gone. New connections meet the same silence, until it speaks again; those held before stay dead.
 * It can also cut what it holds, or refuse everybody for a while, as when a server is restarted.
 */
export async function silentProxy(port: number) {
  let isSilent = false
  let isAway = false
  const pairs = new Set<{ near: Socket; far: Socket; isDead: boolean }>()
  const cut = () => {
    for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy()
  }
  const server = createServer((near) => {
    if (isAway) return near.destroy()
    const pair = { near, far: connect(port, '127.0.0.1'), isDead: isSilent }
    pairs.add(pair)
    for (const [from, to] of [
      [near, pair.far],
      [pair.far, near],
    ] as const) {
      from.on('data', (bytes) => pair.isDead || to.write(bytes))
      from.on('error', () => {})
      from.on('close', () => {
        if (from === near) pairs.delete(pair)
        if (!pair.isDead || from === near) to.destroy()
      })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    /** Connections that a client keeps open here. */
    open: () => pairs.size,
    fallSilent() {
      isSilent = true
      for (const pair of pairs) pair.isDead = true
    },
    speak() {
      isSilent = false
    },
    cut,
    goAway() {
      isAway = true
      cut()
    },
    comeBack() {
      isAway = false
    },
    close() {
      cut()
      server.close()
    },
  }
}
