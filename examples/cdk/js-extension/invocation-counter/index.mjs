// An extension that counts the invocations of its environment and logs how many there were when it is shut down.
import http from 'node:http'
import { json } from 'node:stream/consumers'

// Not by fetch, which gives up after five minutes: Lambda freezes this process while it waits for the next event, for longer.
function call (method, path, headers, body) {
  return new Promise((resolve, reject) => {
    http.request(`http://${process.env.AWS_LAMBDA_RUNTIME_API}/2020-01-01/extension/${path}`, { method, headers }, async (response) => {
      try {
        const said = await json(response)
        if (response.statusCode !== 200) throw new Error(`${path}: status ${response.statusCode}: ${JSON.stringify(said)}`)
        resolve({ headers: response.headers, said })
      } catch (err) {
        reject(err)
      }
    }).on('error', reject).end(body && JSON.stringify(body))
  })
}

// The name is that of the file in /opt/extensions.
const { headers } = await call('POST', 'register', { 'Lambda-Extension-Name': 'invocation-counter' }, { events: ['INVOKE', 'SHUTDOWN'] })
const id = { 'Lambda-Extension-Identifier': headers['lambda-extension-identifier'] }

for (let count = 0; ; count++) {
  const { said } = await call('GET', 'event/next', id)
  if (said.eventType === 'SHUTDOWN') {
    console.log(JSON.stringify({ message: 'invocation-counter: shutdown', reason: said.shutdownReason, invocations: count }))
    break
  }
}
