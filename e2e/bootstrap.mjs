// Stands in for Lambda's own Node.js runtime, which AWS's emulator does not bring: it loads the handler that _HANDLER
// names and speaks the Runtime API for it, on Managed Instances for as many invocations at a time as the environment takes.
// It knows async handlers and what the tests need, no more.

const runtime = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`
const [file, name] = process.env._HANDLER.split('.')

async function post (path, body) {
  const response = await fetch(`${runtime}/${path}`, { method: 'POST', body: JSON.stringify(body) })
  await response.arrayBuffer()
}

function failure (error) {
  return { errorType: error.name, errorMessage: error.message, stackTrace: (error.stack ?? '').split('\n').slice(1) }
}

async function load () {
  try {
    return (await import(`/var/task/${file}.js`))[name] // takes CommonJS and ES modules, which may wait at top level
  } catch (error) {
    await post('init/error', failure(error))
    process.exit(1)
  }
}

const handler = await load()

async function serve () {
  for (;;) {
    const response = await fetch(`${runtime}/invocation/next`)
    const id = response.headers.get('lambda-runtime-aws-request-id')
    const event = await response.json()
    try {
      const context = { awsRequestId: id, getRemainingTimeInMillis: () => response.headers.get('lambda-runtime-deadline-ms') - Date.now() }
      await post(`invocation/${id}/response`, await handler(event, context))
    } catch (error) {
      await post(`invocation/${id}/error`, failure(error))
    }
  }
}

await Promise.all(Array.from({ length: process.env.AWS_LAMBDA_MAX_CONCURRENCY ?? 1 }, serve))
