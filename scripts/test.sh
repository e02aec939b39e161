#!/usr/bin/env bash
# All tests, a process of tests for each core (at most four; one by KARGAH_TEST_PROCESSES=1). Arguments go to pytest:
# make test ARGS="-k login". With --coverage alone: all of them, and how much of the code they and the processes they start went
# through (half as long again).
set -euo pipefail
cd "$(dirname "$0")/.."
cores=$(nproc)
# A training computes on as many threads as it is granted; the tests grant one. (To nproc this is the number of cores.)
export OMP_NUM_THREADS=1
processes=${KARGAH_TEST_PROCESSES:-$((cores < 4 ? cores : 4))}
all=(-m pytest --numprocesses "$processes" --dist loadfile --no-loadscope-reorder)
case "${1:-}" in
"") exec .venv/bin/python "${all[@]}" ;;
--coverage) ;;
*) exec .venv/bin/python -m pytest "$@" ;;
esac
rm -f .coverage .coverage.*
.venv/bin/python -m coverage run "${all[@]}"
.venv/bin/python -m coverage combine --quiet
.venv/bin/python -m coverage report
