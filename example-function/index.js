'use strict';

const http = require('node:http');
const { text } = require('node:stream/consumers');

const port = process.env.CACHE_EXTENSION_PORT || '4000';
const timeout = 2500; // milliseconds: the extension gives AWS 2 seconds, Lambda gives a function 3 by default

// One connection for the life of the environment: opening one takes longer than a read from memory.
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

// What to read, by cache type. Each name is one that config.yaml declares.
const names = {
  dynamodb: 'DynamoDbTable-pKey1-sKey1',
  parameters: 'CacheExtensions_Parameter1',
  secrets: 'secret_info',
};

function get(path) {
  const token = process.env.AWS_SESSION_TOKEN; // proves that we are this function; config.yaml says whether it is asked for
  const headers = token ? { 'X-Aws-Parameters-Secrets-Token': token } : {};
  const options = { agent, headers, signal: AbortSignal.timeout(timeout) };
  return new Promise((resolve, reject) => {
    http.get(`http://localhost:${port}${path}`, options, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode, body }), reject);
    }).on('error', reject);
  });
}

// A failure is never a 200. It says in JSON what to do about it (detail) and what programs may test (code).
function problem(what, { status, body }) {
  let said = {};
  try {
    said = JSON.parse(body) ?? {};
  } catch {
    // Something else listens on the port: the status has to do.
  }
  return Object.assign(new Error(`${what}: ${said.detail ?? `status ${status}`}`), { status, code: said.code });
}

async function read(cachetype, name) {
  const what = `${cachetype} ${name}`;
  const answer = await get(`/${cachetype}?name=${encodeURIComponent(name)}`).catch((cause) => {
    const why = cause.name === 'AbortError' ? `within ${timeout} ms` : `(${cause.code})`;
    throw new Error(`${what}: no answer from the cache extension on port ${port} ${why}`, { cause });
  });
  if (answer.status !== 200) throw problem(what, answer);
  return answer.body;
}

exports.handler = async () => {
  const values = {};
  const milliseconds = {};
  for (const [cachetype, name] of Object.entries(names)) {
    const start = performance.now();
    values[cachetype] = await read(cachetype, name);
    milliseconds[cachetype] = Number((performance.now() - start).toFixed(3));
  }
  console.log(JSON.stringify({ message: 'read from the cache extension', milliseconds })); // never the values
  return { values, milliseconds };
};
