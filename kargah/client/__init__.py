"""The Python SDK: everything a program needs, over the REST API.

::

    from kargah.client import Kargah

    kargah = Kargah("http://127.0.0.1:8420", token="…")
    dataset = kargah.datasets.upload("reviews.csv")
    training = kargah.trainings.start(datasets=[dataset.id], spec={"epochs": 3})
    job = kargah.jobs.wait(training.job.id)
    kargah.models.predict(job.result["model_version_id"], ["عالی بود"])
"""

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
