"""The Python SDK: everything a program needs, over the REST API.

::

    from kargah.client import Kargah

    kargah = Kargah("http://127.0.0.1:8420", token="…")
    dataset = kargah.datasets.upload("reviews.csv")
    training = kargah.trainings.start(datasets=[dataset.id], spec={"epochs": 3})
    job = kargah.jobs.wait(training.job.id)
    kargah.models.predict(job.result["model_version_id"], ["عالی بود"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kargah.client.errors import JobEnded, Refused, ServerUnreachable
    from kargah.client.sdk import Kargah
    from kargah.client.shapes import Dataset, Event, Job, ModelVersion, Page, Predictions, Training

__all__ = [
    "Dataset",
    "Event",
    "Job",
    "JobEnded",
    "Kargah",
    "ModelVersion",
    "Page",
    "Predictions",
    "Refused",
    "ServerUnreachable",
    "Training",
]

#: A command that asks no server needs its errors and not its HTTP client, whose import takes longer than such a command's own.
_MODULES = ("errors", "shapes", "sdk")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            if hasattr(found := import_module(f"{__name__}.{module}"), name):
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
