// One Node with a headless Chromium on a blank page, as a bot that drives WhatsApp Web has it.
//   node page.mjs CHROMIUM PROFILE_FOLDER        prints "ready" when the browser takes commands
import { spawn } from 'node:child_process'

const [chromium, profile] = process.argv.slice(2)
const browser = spawn(
  chromium,
  ['--headless=new', '--no-sandbox', '--disable-gpu', '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'],
  { stdio: ['ignore', 'ignore', 'pipe'] },
)
browser.stderr.setEncoding('utf8')
browser.stderr.on('data', (text) => {
  if (text.includes('DevTools listening')) console.log('ready')
})
process.on('SIGTERM', () => browser.kill())
browser.on('exit', () => process.exit())
