#!/usr/bin/env bash
# All tests, with coverage of the processes they start as well. Arguments go to pytest: make test ARGS="-k login".
set -euo pipefail
cd "$(dirname "$0")/.."
rm -f .coverage .coverage.*
# A training computes on as many threads as it is granted; the tests grant one.
export OMP_NUM_THREADS=1
if [ $# -gt 0 ]; then exec .venv/bin/python -m pytest "$@"; fi
.venv/bin/python -m coverage run -m pytest
.venv/bin/python -m coverage combine --quiet
.venv/bin/python -m coverage report
