'use strict';

const url = 'http://localhost:4000/parameters?name=greeting';

// What comes with the request is for this function alone: a header or a name of the caller's has no place in a read.
exports.handler = async () => {
  const headers = { 'X-Aws-Parameters-Secrets-Token': process.env.AWS_SESSION_TOKEN ?? '' };
  const answer = await fetch(url, { headers, signal: AbortSignal.timeout(2500) });
  const body = await answer.text();
  if (!answer.ok) {
    console.error(`greeting: status ${answer.status}: ${body}`); // a problem, which says what to do and never holds a value
    return { statusCode: 502, body: 'The greeting could not be read.\n' };
  }
  return { statusCode: 200, headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' }, body };
};
