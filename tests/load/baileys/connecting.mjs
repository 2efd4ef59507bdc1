// One Baileys that connects to the tests' WhatsApp server: handshake done, the first stanza received.
//   node connecting.mjs WSS_URL SESSION_FOLDER
// NODE_EXTRA_CA_CERTS names the server's authority; the working directory is the cache folder with the packages.
import { Agent } from 'node:https'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(`${process.cwd()}/package.json`)
const baileys = await import(pathToFileURL(require.resolve('baileys')))
const pino = require('pino')

const [url, folder] = process.argv.slice(2)
const { state, saveCreds } = await baileys.useMultiFileAuthState(folder)
const here = (_host, options, found) =>
  options.all ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4)
const socket = baileys.makeWASocket({
  auth: state,
  waWebSocketUrl: url,
  agent: new Agent({ lookup: here }),
  logger: pino({ level: 'silent' }),
  version: [2, 3000, 1023223821],
})
socket.ev.on('creds.update', saveCreds)
socket.ev.on('connection.update', ({ connection, lastDisconnect }) => {
  if (connection === 'close') console.log(`closed: ${lastDisconnect?.error?.message}`)
})
