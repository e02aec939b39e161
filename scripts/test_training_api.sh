#!/usr/bin/env bash
# Walk through the documented training API of a running server: health, create, poll, artifacts, list.
# KARGAH_SERVER (http://127.0.0.1:8420) and KARGAH_TOKEN say where and as whom. Needs curl only.
# Exit status: 0 every step answered as documented · 1 one did not, and was printed.
set -euo pipefail

server=${KARGAH_SERVER:-http://127.0.0.1:8420}
token=${KARGAH_TOKEN:?set KARGAH_TOKEN to an access token of the account page}
limit_seconds=${LIMIT_SECONDS:-300}

ask() {
    curl --silent --show-error --max-time 60 -H "Authorization: Bearer $token" -H "Content-Type: application/json" "$@"
}
# step NAME PATTERN ANSWER: the answer must match.
step() {
    if grep -Eq "$2" <<<"$3"; then
        echo "ok    $1"
    else
        echo "FAIL  $1: $3" >&2
        exit 1
    fi
}

step health '"ok":true.*"service":"kargah"' "$(curl --silent --max-time 10 "$server/health")"

answer=$(ask -X POST "$server/api/train" -d '{"epochs": 3, "batch_size": 16, "lr": 0.01}')
step create '"ok":true.*"job_id":"job_.*"status":"QUEUED"' "$answer"
job_id=$(grep -o '"job_id":"[^"]*"' <<<"$answer" | cut -d '"' -f 4)

state=QUEUED
for ((second = 0; second < limit_seconds; second++)); do
    answer=$(ask "$server/api/train/status?job_id=$job_id")
    state=$(grep -o '"status":"[A-Z]*"' <<<"$answer" | head -n 1 | cut -d '"' -f 4)
    case $state in COMPLETED | ERROR | STOPPED | "") break ;; esac
    sleep 1
done
step poll '"status":"COMPLETED"' "$answer"
step artifacts '"ok":true,"data":\[\{.*"sha256":"[0-9a-f]{64}"' "$(ask "$server/api/lifecycle/artifacts/$job_id")"
step list "\"ok\":true,\"data\":\[.*\"job_id\":\"$job_id\"" "$(ask "$server/api/train/jobs")"
echo "all steps answered as documented"
