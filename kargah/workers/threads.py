"""How many threads the numerical libraries take."""

import os
import sys


def limit_threads(threads: int) -> None:
    """To be called before those libraries are imported: they read this when they start. No network is touched by any of them."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    if (torch := sys.modules.get("torch")) is not None:  # a child of the forge: they are imported already
        torch.set_num_threads(threads)
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
