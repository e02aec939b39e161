"""``python -m kargah.workers.ahead ATTEMPT_DIR MODULE [IMPORT …]``: a worker that imports while its plan is still being made.

It imports what it was told to, and waits until its input ends: then there is a plan in its directory, and it is the worker
``MODULE``, or there is none, and nobody wants it. Imports that fail are left to the worker, which says it better.
"""

import importlib
import sys
from contextlib import suppress
from pathlib import Path

from kargah.contract.attempt import AttemptDirectory
from kargah.kit import collecting
from kargah.workers import sparing


def main() -> int:
    path, module, *wanted = sys.argv[1:]
    sparing.begin()
    with collecting.put_off():
        for name in (module, *wanted):
            with suppress(ImportError):
                importlib.import_module(name)
    sys.stdin.read()
    if not AttemptDirectory(Path(path)).plan.exists():
        return 0
    sys.argv = [module, path]
    status: int = importlib.import_module(module).main()
    return status


if __name__ == "__main__":
    sys.exit(main())
