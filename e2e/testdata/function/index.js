// A function that does what a test asks it for in the event: read, hang or crash. It has read once in its init code.
const urls = [
  '/dynamodb?name=DynamoDbTable-pKey1-sKey1',
  '/parameters?name=CacheExtensions_Parameter1',
  '/parameters?name=/aws/reference/secretsmanager/secret_info',
  '/secrets?name=secret_info'
]

async function read (url) {
  const response = await fetch(`http://localhost:4000${url}`)
  return { status: response.status, body: await response.text() }
}

const init = await Promise.all(urls.map(read))

export async function handler ({ hang, crash }) {
  if (hang) await new Promise((resolve) => setTimeout(resolve, 60_000))
  if (crash) process.exit(1)
  return { init, now: await Promise.all(urls.map(read)) }
}
