"""PyJWT, without what it loads for algorithms that are none of ours.

With the cryptography package at hand it takes that in at once, some nine megabytes of a web process that signs by HMAC alone. What
signs bundles imports it when it is needed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["jwt"]


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Within, ``package`` is as good as not installed, unless it is loaded already."""
    modules: dict[str, Any] = sys.modules
    if package in modules:
        yield
        return
    modules[package] = None
    try:
        yield
    finally:
        del modules[package]


with _without("cryptography"):
    import jwt
