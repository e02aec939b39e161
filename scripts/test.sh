#!/usr/bin/env bash
# All tests, with coverage of the processes they start as well, a process of tests for each core (at most four; one by
# KARGAH_TEST_PROCESSES=1). Arguments go to pytest: make test ARGS="-k login".
set -euo pipefail
cd "$(dirname "$0")/.."
rm -f .coverage .coverage.*
cores=$(nproc)
# A training computes on as many threads as it is granted; the tests grant one. (To nproc this is the number of cores.)
export OMP_NUM_THREADS=1
if [ $# -gt 0 ]; then exec .venv/bin/python -m pytest "$@"; fi
processes=${KARGAH_TEST_PROCESSES:-$((cores < 4 ? cores : 4))}
.venv/bin/python -m coverage run -m pytest --numprocesses "$processes" --dist loadfile --no-loadscope-reorder
.venv/bin/python -m coverage combine --quiet
.venv/bin/python -m coverage report
