'use strict';

// Reads a parameter from the cache extension. fetch closes a connection that is idle for some seconds; examples/clients/node
// keeps it.
exports.handler = async () => {
  const response = await fetch('http://localhost:4000/parameters?name=greeting', { signal: AbortSignal.timeout(2500) });
  const body = await response.text();
  if (!response.ok) throw new Error(`greeting: ${response.status} ${body}`);
  return { greeting: body };
};
