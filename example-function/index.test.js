'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const { after, before, beforeEach, mock, test } = require('node:test');

let handler;
let answer; // what the stand-in for the extension does with a request
let requests; // what it was asked
let sockets; // the connections it was asked over

const server = http.createServer((request, response) => {
  requests.push({ method: request.method, url: request.url, token: request.headers['x-aws-parameters-secrets-token'] });
  sockets.add(request.socket);
  answer(request, response);
});

const values = {
  '/dynamodb?name=DynamoDbTable-pKey1-sKey1': '{"n":12345678901234567890123456789012345678,"pKey":"pKey1"}',
  '/parameters?name=CacheExtensions_Parameter1': 'MyParameter',
  '/secrets?name=secret_info': 'MySecret ü',
};

function problem(response, status, code, detail) {
  response.writeHead(status, { 'Content-Type': 'application/problem+json' });
  response.end(JSON.stringify({ type: 'about:blank', title: 'Title', status, detail, code }));
}

before(async () => {
  server.listen(0, 'localhost');
  await once(server, 'listening');
  process.env.CACHE_EXTENSION_PORT = String(server.address().port);
  ({ handler } = require('./index.js'));
});

after(() => {
  server.closeAllConnections();
  server.close();
});

beforeEach(() => {
  mock.restoreAll();
  mock.method(console, 'log', () => {});
  delete process.env.AWS_SESSION_TOKEN;
  requests = [];
  sockets = new Set();
  answer = (request, response) => response.end(values[request.url]);
});

test('returns one value of each kind and how long it took', async () => {
  const got = await handler();
  assert.deepEqual(got.values, {
    dynamodb: '{"n":12345678901234567890123456789012345678,"pKey":"pKey1"}',
    parameters: 'MyParameter',
    secrets: 'MySecret ü',
  });
  assert.deepEqual(Object.keys(got.milliseconds), ['dynamodb', 'parameters', 'secrets']);
  for (const [kind, ms] of Object.entries(got.milliseconds)) {
    assert.ok(ms > 0 && ms < 2500, `${kind} took ${ms} ms`);
  }
  assert.deepEqual(requests.map(({ method, url }) => `${method} ${url}`), Object.keys(values).map((url) => `GET ${url}`));
});

test('uses one connection, also from one invocation to the next', async () => {
  await handler();
  await handler();
  assert.equal(requests.length, 6);
  assert.equal(sockets.size, 1);
});

test('logs one line, without a value', async () => {
  await handler();
  const lines = console.log.mock.calls.map((call) => call.arguments.join(' '));
  assert.equal(lines.length, 1);
  assert.doesNotMatch(lines[0], /MySecret|MyParameter|12345678901234567890/);
  assert.deepEqual(Object.keys(JSON.parse(lines[0])), ['message', 'milliseconds']);
});

test('sends the session token when there is one', async () => {
  await handler();
  process.env.AWS_SESSION_TOKEN = 'session token';
  await handler();
  assert.deepEqual(requests.map(({ token }) => token), [undefined, undefined, undefined, 'session token', 'session token', 'session token']);
});

test('takes an empty value for a value', async () => {
  answer = (request, response) => response.end();
  assert.deepEqual((await handler()).values, { dynamodb: '', parameters: '', secrets: '' });
});

test('throws the detail and the code of a problem', async () => {
  answer = (request, response) => (request.url.startsWith('/parameters')
    ? problem(response, 404, 'missing', 'AWS has none of that name.')
    : response.end('value'));
  await assert.rejects(handler(), {
    message: 'parameters CacheExtensions_Parameter1: AWS has none of that name.',
    code: 'missing',
    status: 404,
  });
  assert.equal(console.log.mock.callCount(), 0);
});

for (const body of ['', 'null', '<html>', '[]', '"text"']) {
  test(`throws the status of a failure that says ${JSON.stringify(body)}`, async () => {
    answer = (request, response) => response.writeHead(502).end(body);
    await assert.rejects(handler(), { message: 'dynamodb DynamoDbTable-pKey1-sKey1: status 502', status: 502, code: undefined });
  });
}

test('works again after a failure', async () => {
  answer = (request, response) => request.socket.destroy();
  await assert.rejects(handler(), { message: /^dynamodb DynamoDbTable-pKey1-sKey1: no answer from the cache extension on port \d+ \(ECONNRESET\)$/ });
  answer = (request, response) => response.end(values[request.url]);
  assert.equal((await handler()).values.parameters, 'MyParameter');
});

for (const [what, stall] of [
  ['never answers', () => {}],
  ['stops in the middle', (request, response) => response.writeHead(200, { 'Content-Length': '100' }).write('half')],
]) {
  test(`gives up on a server that ${what}`, async () => {
    const { timeout } = AbortSignal;
    mock.method(AbortSignal, 'timeout', () => timeout.call(AbortSignal, 50));
    answer = stall;
    await assert.rejects(handler(), { message: /^dynamodb DynamoDbTable-pKey1-sKey1: no answer from the cache extension on port \d+ within 2500 ms$/ });
    assert.deepEqual(AbortSignal.timeout.mock.calls.map((call) => call.arguments), [[2500]]);
  });
}

test('says that nothing listens', async () => {
  const away = http.createServer().listen(0, 'localhost');
  await once(away, 'listening');
  const { port } = away.address();
  away.close();
  await once(away, 'close');
  delete require.cache[require.resolve('./index.js')];
  process.env.CACHE_EXTENSION_PORT = String(port);
  await assert.rejects(require('./index.js').handler(), {
    message: `dynamodb DynamoDbTable-pKey1-sKey1: no answer from the cache extension on port ${port} (ECONNREFUSED)`,
  });
});
