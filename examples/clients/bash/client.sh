#!/usr/bin/env bash
# Reads from cache-extension: value=$(cache_get parameters /app/greeting). Copy cache_get into your function, or source this.

# cache_get <cachetype> <name>... prints each value and a newline, read over one connection. It stops at the first that
# fails and prints no value then: standard error has the answer, and the exit code is curl's: 22 for a status other than
# 200, 28 for no answer in time. As ever in bash, NUL bytes and newlines at the end are lost.
cache_get() {
  local name next='' answer code token=${AWS_SESSION_TOKEN:-${AWS_CONTAINER_AUTHORIZATION_TOKEN:-}}
  # On standard input: the list of processes shows arguments, and would show the token.
  answer=$(
    for name in "${@:2}"; do
      name=${name//\\/\\\\} name=${name//\"/\\\"} name=${name//$'\n'/\\n} # a name ends neither its quotes nor its line
      printf '%s\n' $next \
        "url = \"http://localhost:${CACHE_EXTENSION_PORT:-4000}/$1\"" get "data-urlencode = \"name=$name\"" \
        ${token:+"header = \"X-Aws-Parameters-Secrets-Token: $token\""} \
        'max-time = 2.5' 'noproxy = "*"' silent fail-early fail-with-body \
        'write-out = "\n%{onerror}%{stderr}%{url_effective}: status %{http_code}, Retry-After: %header{retry-after}, %{errormsg}\n"'
      next=next # begins another request
    done | curl --disable --config -
  ) || {
    code=$?
    printf '%s\n' "${answer##*$'\n'}" >&2 # the problem
    return "$code"
  }
  printf '%s\n' "$answer"
}

# client.sh <cachetype> <name>... prints each value.
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  cache_get "$@"
fi
