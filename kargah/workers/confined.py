"""``python -m kargah.workers.confined WISH``: become the program that WISH (JSON) names, as someone who may do less.

It dies with its parent, hears SIGTERM again, writes no core and no endless file; as another user where WISH names one.
"""

import ctypes
import json
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
#: Processes and threads of that user, all scripts together: a fork bomb ends itself.
_MOST_PROCESSES = 1024


def main() -> None:
    wish = json.loads(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (wish["file_bytes"], wish["file_bytes"]))
    if wish["uid"] is not None:
        resource.setrlimit(resource.RLIMIT_NPROC, (_MOST_PROCESSES, _MOST_PROCESSES))
        os.setgroups([])
        os.setgid(wish["gid"])
        os.setuid(wish["uid"])
    # After the change of user, which would undo it; what may have happened before it is looked for after it.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == wish["parent"]:
        os.chdir(wish["folder"])
        os.execvpe(wish["command"][0], wish["command"], wish["environment"])  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
