"""How any worker is started: its own session, its output in the attempt's log, an environment without secrets."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from kargah.contract.attempt import AttemptDirectory

#: All that a worker gets of its starter's environment: no secret passes.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "SYSTEMROOT",
    "COVERAGE_PROCESS_CONFIG",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY",
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS")
#: Training allocates and frees the same large blocks at every step; this allocator keeps them (a tenth more steps, measured).
QUICK_ALLOCATORS = ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4")
#: Without it glibc is told to keep them too, as far as it can (blocks below 32 MiB): it gave them back at every step, and a step of a small
#: encoder spent a sixth of its time on getting them again.
KEEPING_BLOCKS = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
#: oneDNN keeps this many of the kernels that it makes, one for each shape of a product: of the 1,024 that it keeps by itself most are
#: never used again, at some 0.3 MB each.
KEPT_KERNELS = 256
LIBRARY_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
PACKAGE_ROOT = Path(__file__).parents[2]


def start_worker(
    module: str, directory: AttemptDirectory, threads: int, gpus: Sequence[str] | None = None, gpu_share: float | None = None
) -> "subprocess.Popen[bytes]":
    """Run ``python -m module ATTEMPT_DIR``; it outlives whoever started it. Raises OSError; then nothing runs.

    ``gpus``: the only ones that it may see; null leaves that as it is. ``gpu_share``: the part of their memory that it may take.
    """
    return _started([module, str(directory.path)], directory, environment(threads, gpus, gpu_share), subprocess.DEVNULL)


def start_ahead(module: str, directory: AttemptDirectory, threads: int, imports: Sequence[str]) -> "subprocess.Popen[bytes]":
    """The same worker before its plan is there (kargah.workers.ahead): it imports, and begins when its ``stdin`` is closed."""
    return _started(["kargah.workers.ahead", str(directory.path), module, *imports], directory, environment(threads), subprocess.PIPE)


def _started(command: list[str], directory: AttemptDirectory, variables: dict[str, str], stdin: int) -> "subprocess.Popen[bytes]":
    with directory.log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *command], cwd=directory.path, env=variables, stdin=stdin, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True, close_fds=True,
        )  # fmt: skip


def environment(threads: int, gpus: Sequence[str] | None = None, gpu_share: float | None = None) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    path = os.pathsep.join([str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    allocator = quick_allocator()
    return {
        **({"LD_PRELOAD": allocator} if allocator else KEEPING_BLOCKS),
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(KEPT_KERNELS),
        **passed,
        **per_attempt(threads, gpus),
        # torch's allocator keeps to it: what a job was not granted stays for those beside it.
        **({} if gpu_share is None else {"PYTORCH_CUDA_ALLOC_CONF": f"per_process_memory_fraction:{gpu_share:.4f}"}),
        "PYTHONPATH": path,
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "HF_HUB_OFFLINE": "1",
    }


def per_attempt(threads: int, gpus: Sequence[str] | None) -> dict[str, str]:
    """What of the environment follows what an attempt was granted."""
    seen = {} if gpus is None else {"CUDA_VISIBLE_DEVICES": ",".join(gpus)}
    return {**seen, **dict.fromkeys(THREAD_VARIABLES, str(threads)), "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}


@cache
def quick_allocator() -> str | None:
    """The file of an allocator that this machine has; whoever started us with LD_PRELOAD set has chosen another."""
    found = (Path(folder, name) for name in QUICK_ALLOCATORS for folder in LIBRARY_FOLDERS)
    return next((str(path) for path in found if path.exists()), None)
