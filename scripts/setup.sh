#!/usr/bin/env bash
# Make .venv in the project's root and install the lock into it: `setup.sh run` for the product, `setup.sh test` for the
# tests too (and Debian's chromium, postgresql and g++). What is there already is skipped, so a second run takes seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-run}
say() { printf '\033[36m▸\033[0m %s\n' "$*"; }
fail() { printf '\033[31m✗\033[0m %s\n' "$*" >&2; exit 1; }

python=""
for candidate in ${KARGAH_PYTHON:-} python3.11 python3.12 python3.13 python3; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || fail "Kargah needs Python 3.11 or newer. Install it (on Debian: apt-get install python3 python3-venv) and run again."

debian_install() {
  if ! command -v apt-get >/dev/null; then fail "Missing: $*. Install it with this system's package manager and run again."; fi
  local sudo=""
  [ "$(id -u)" = 0 ] || sudo="sudo"
  [ -z "$sudo" ] || command -v sudo >/dev/null || fail "Missing: $*. Run as root: apt-get install $*"
  say "Installing $* (Debian packages)"
  $sudo apt-get update -qq >/dev/null || true
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if [ ! -x .venv/bin/python ]; then
  say "Making .venv with $($python --version)"
  $python -c 'import ensurepip, venv' 2>/dev/null || debian_install python3-venv
  $python -m venv .venv
fi

# The stamp names what was installed; it is written last, so that an interrupted set-up is taken up again.
stamp() { cat pyproject.toml requirements/run.txt "$@" scripts/setup.sh | sha256sum | cut -d' ' -f1; }
pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }

install_run() {
  local want; want=$(stamp)
  [ "$(cat .venv/kargah-run.stamp 2>/dev/null)" = "$want" ] && return
  say "Installing the locked packages (once; a few minutes on a slow link)"
  pip install --no-deps -r requirements/run.txt
  # torch with its own dependencies: where its build brings GPU libraries they must come too.
  pip install -c requirements/run.txt torch==2.13.0
  pip install --no-deps --no-build-isolation -e .
  # An environment without bytecode starts many times slower.
  .venv/bin/python -m compileall -q .venv/lib kargah >/dev/null || true
  echo "$want" > .venv/kargah-run.stamp
}

install_test() {
  local want; want=$(stamp requirements/test.txt)
  if [ "$(cat .venv/kargah-test.stamp 2>/dev/null)" != "$want" ]; then
    say "Installing what the tests need"
    pip install --no-deps -r requirements/test.txt
    echo "$want" > .venv/kargah-test.stamp
  fi
  local missing=()
  command -v chromium >/dev/null || missing+=(chromium)
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
  command -v curl >/dev/null || missing+=(curl)
  command -v g++ >/dev/null || missing+=(g++)
  [ ${#missing[@]} = 0 ] || debian_install "${missing[@]}"
}

install_run
[ "$what" = run ] || install_test
say "Ready: .venv ($what)"
