// A function that does what a test asks it for in the event: read URLs, leave reads under way, hang or crash. It has read
// once in its init code.
const urls = [
  '/dynamodb?name=DynamoDbTable-pKey1-sKey1',
  '/parameters?name=CacheExtensions_Parameter1',
  '/parameters?name=/aws/reference/secretsmanager/secret_info',
  '/secrets?name=secret_info'
]

async function get (url) {
  const response = await fetch(`http://localhost:4000${url}`)
  return {
    status: response.status,
    body: await response.text(),
    age: Number(response.headers.get('age') ?? -1),
    cache: response.headers.get('cache-status') ?? '',
    retry: Number(response.headers.get('retry-after') ?? -1)
  }
}

const init = await Promise.all(urls.map(get))
let left = [] // reads that an earlier invocation began

export async function handler ({ read = urls, leave = [], hang, crash }) {
  if (hang) await new Promise((resolve) => setTimeout(resolve, 60_000))
  if (crash) process.exit(1)
  const earlier = await Promise.all(left)
  left = leave.map(get)
  return { init, earlier, now: await Promise.all(read.map(get)) }
}
