'use strict';

const http = require('node:http');
const { text } = require('node:stream/consumers');

// Connections are kept for the life of the environment: opening one takes longer than a read from memory.
const agent = new http.Agent({ keepAlive: true });

function read(path) {
  return new Promise((resolve, reject) => {
    http.get(`http://localhost:4000${path}`, { agent, signal: AbortSignal.timeout(2500) }, async (response) => {
      try {
        const body = await text(response);
        if (response.statusCode !== 200) throw new Error(`${path}: status ${response.statusCode}: ${body}`);
        resolve(body);
      } catch (err) {
        reject(err);
      }
    }).on('error', reject);
  });
}

// A function URL sends what is returned as JSON. The password stays here.
exports.handler = async () => {
  const [greeting, password] = await Promise.all([read('/parameters?name=greeting'), read('/secrets?name=password')]);
  return { greeting, passwordLength: password.length };
};
