"""Python's looking for what may go, put off while what is made is there to stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def put_off() -> Iterator[None]:
    """For imports and models that are loaded: looking through them again and again took a third of that time. What is there at the end is
    not looked through any more, also not when the interpreter ends."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


@contextmanager
def seldom() -> Iterator[None]:
    """For work that makes many lists and hardly a circle: what is made is looked through a hundred times as seldom."""
    before = gc.get_threshold()
    gc.set_threshold(100 * before[0], *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
