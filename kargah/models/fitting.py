"""Whether a model fits this machine, by its number of parameters alone: a first look, before anything of it is here.

What a training really takes is foreseen from its own data and settings (workers.planner); this only says what is out of the question.
"""

from enum import StrEnum

from kargah.hardware import gpus, profile

#: Weights, gradients and two moments of the optimizer in fp32.
TRAINING_BYTES_A_PARAMETER = 16
#: The interpreter with its libraries, and what the texts of a small batch take.
BASE_BYTES = 1_500 << 20


class Fit(StrEnum):
    """What can be done with it here: train all of it, train adapters beside its weights, or neither."""

    WHOLE = "whole"
    ADAPTERS = "adapters"
    NOT = "not"


def room_bytes() -> int:
    """The largest memory that one training may have: a graphics card's, or what jobs get of the machine's."""
    return max([profile.memory_for_jobs_bytes(), *(gpu.memory_bytes for gpu in gpus.found())])


def fit_of(parameters: int | None, bytes_a_parameter: int, room: int) -> Fit | None:
    """Null where nobody knows how large it is."""
    if parameters is None:
        return None
    if parameters * TRAINING_BYTES_A_PARAMETER + BASE_BYTES <= room:
        return Fit.WHOLE
    return Fit.ADAPTERS if parameters * bytes_a_parameter + BASE_BYTES <= room else Fit.NOT
