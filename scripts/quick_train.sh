#!/usr/bin/env bash
# Train the bundled x,y table on a running server and wait for the end: scripts/quick_train.sh [EPOCHS [BATCH_SIZE [LR]]]
# KARGAH_SERVER (http://127.0.0.1:8420) and KARGAH_TOKEN say where and as whom. Needs curl only.
# Exit status: 0 COMPLETED · 1 it ended otherwise, or the server refused.
set -euo pipefail

server=${KARGAH_SERVER:-http://127.0.0.1:8420}
token=${KARGAH_TOKEN:?set KARGAH_TOKEN to an access token of the account page}
epochs=${1:-3} batch_size=${2:-16} lr=${3:-0.01}

# The answer's body; a refusal's body goes to the terminal and ends the script.
ask() {
    local body
    body=$(curl --silent --show-error --fail-with-body --max-time 60 -H "Authorization: Bearer $token" -H "Content-Type: application/json" "$@") ||
        { echo "$body" >&2; exit 1; }
    echo "$body"
}
word() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }
number() { grep -o "\"$1\":[-0-9.e]*" | head -n 1 | cut -d : -f 2; }

answer=$(ask -X POST "$server/api/train" -d "{\"epochs\": $epochs, \"batch_size\": $batch_size, \"lr\": $lr}")
job_id=$(word job_id <<<"$answer")
echo "job $job_id"

while :; do
    answer=$(ask "$server/api/train/status?job_id=$job_id")
    state=$(grep -o '"status":"[A-Z]*"' <<<"$answer" | head -n 1 | cut -d '"' -f 4)
    echo "$state $(number progress <<<"$answer")% epoch $(number epoch <<<"$answer") loss $(number loss <<<"$answer")"
    case $state in
        COMPLETED) exit 0 ;;
        ERROR | STOPPED) word message <<<"$answer" >&2; exit 1 ;;
    esac
    sleep 1
done
