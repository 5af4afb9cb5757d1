"""Reads from cache-extension: get("parameters", "/app/greeting"). Copy this file into your function."""

import http.client
import json
import os
import sys
import threading
from urllib.parse import urlencode

PORT = int(os.environ.get("CACHE_EXTENSION_PORT") or 4000)
TIMEOUT = 2.5  # seconds: the extension gives AWS 2, Lambda gives a function 3 by default

_kept = threading.local()  # a connection for each thread: opening one takes longer than a read from memory


class CacheError(Exception):
    """What went wrong. status, code and retry_after (seconds; 0 where nothing was said) are those of the answer; where
    there was none they are 0, "" and 0."""

    def __init__(self, message, status=0, code="", retry_after=0):
        super().__init__(message)
        self.status, self.code, self.retry_after = status, code, retry_after


def get(cachetype, name, **query):
    """Returns a value as text. The query may hold more: field="/host", refresh="true"."""
    what = f"{cachetype} {name}"
    token = os.environ.get("AWS_SESSION_TOKEN") or os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    headers = {"X-Aws-Parameters-Secrets-Token": token} if token else {}  # for server.token: true
    if not hasattr(_kept, "connection"):
        _kept.connection = http.client.HTTPConnection("localhost", PORT, timeout=TIMEOUT)
    try:
        _kept.connection.request("GET", f"/{cachetype}?{urlencode({**query, 'name': name})}", headers=headers)
        response = _kept.connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as cause:
        _kept.connection.close()  # the next request opens another one
        raise CacheError(f"{what}: no answer from the cache extension on port {PORT}: {cause}") from cause
    if response.status == 200:
        try:
            return body.decode()
        except UnicodeDecodeError as cause:
            raise CacheError(f"{what}: not text: read it without decode()", response.status) from cause
    try:
        problem = dict(json.loads(body))
    except (TypeError, ValueError):
        problem = {}  # something else listens on the port
    code, detail = problem.get("code", "unknown"), problem.get("detail", "not an answer of the cache extension")
    retry_after = int(response.headers.get("Retry-After") or 0)
    when = f" (Retry-After: {retry_after})" if retry_after else ""
    raise CacheError(f"{what}: {response.status} {code}: {detail}{when}", response.status, code, retry_after)


def main(cachetype, *names):
    """python3 client.py <cachetype> <name>... prints each value."""
    failed = False
    for name in names:
        try:
            print(get(cachetype, name))
        except CacheError as error:
            print(error, file=sys.stderr)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main(*sys.argv[1:])
