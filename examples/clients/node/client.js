'use strict';

// Reads from cache-extension: await get('parameters', '/app/greeting'). Copy this file into your function.

const http = require('node:http');
const { text } = require('node:stream/consumers');

const port = process.env.CACHE_EXTENSION_PORT || '4000';
const timeout = 2500; // milliseconds: the extension gives AWS 2 seconds, Lambda gives a function 3 by default
const agent = new http.Agent({ keepAlive: true }); // opening a connection takes longer than a read from memory

// What went wrong. status, code and retryAfter (seconds; 0 where nothing was said) are those of the answer, undefined where
// there was none.
class CacheError extends Error {
  constructor(message, details) {
    super(message);
    Object.assign(this, { name: 'CacheError' }, details);
  }
}

// Returns a value as text. The query may hold more: { field: '/host', refresh: 'true' }.
async function get(cachetype, name, query = {}) {
  const what = `${cachetype} ${name}`;
  const { status, headers, body } = await send(`/${cachetype}?${new URLSearchParams({ ...query, name })}`).catch((cause) => {
    const why = cause.name === 'AbortError' ? `none within ${timeout} ms` : cause.code || cause.message;
    throw new CacheError(`${what}: no answer from the cache extension on port ${port}: ${why}`, { cause });
  });
  if (status === 200) return body;
  let problem;
  try {
    problem = JSON.parse(body);
  } catch {
    // Something else listens on the port.
  }
  const { code = 'unknown', detail = 'not an answer of the cache extension' } = problem ?? {};
  const retryAfter = Number(headers['retry-after'] ?? 0);
  const when = retryAfter ? ` (Retry-After: ${retryAfter})` : '';
  throw new CacheError(`${what}: ${status} ${code}: ${detail}${when}`, { status, code, retryAfter });
}

function send(path) {
  const token = process.env.AWS_SESSION_TOKEN || process.env.AWS_CONTAINER_AUTHORIZATION_TOKEN;
  const headers = token ? { 'X-Aws-Parameters-Secrets-Token': token } : {}; // for server.token: true
  const options = { agent, headers, signal: AbortSignal.timeout(timeout) };
  return new Promise((resolve, reject) => {
    http.get(`http://localhost:${port}${path}`, options, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode, headers: response.headers, body }), reject);
    }).on('error', reject);
  });
}

module.exports = { get, CacheError };

// node client.js <cachetype> <name>... prints each value.
async function main([cachetype, ...names]) {
  for (const name of names) {
    try {
      console.log(await get(cachetype, name));
    } catch (error) {
      console.error(error.message);
      process.exitCode = 1;
    }
  }
}

if (require.main === module) main(process.argv.slice(2));
