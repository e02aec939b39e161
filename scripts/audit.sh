#!/usr/bin/env bash
# Known vulnerabilities of the locked packages. Needs the advisory service; where it cannot be reached, that is said and is no failure outside CI's own network.
set -uo pipefail
cd "$(dirname "$0")/.."
output=$(.venv/bin/python -m pip_audit --progress-spinner off --disable-pip --no-deps -r requirements/run.txt 2>&1)
status=$?
if [ $status -ne 0 ] && grep -qiE 'ConnectionError|Max retries|timed out|Name or service|HTTPError|refused|403|502|503' <<<"$output"; then
  echo "dependency audit: NOT RUN, the advisory service cannot be reached from here"
  exit 0
fi
echo "$output"
exit $status
