from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class PlacementState(StrEnum):
    WANTED = "WANTED"
    STARTING = "STARTING"
    READY = "READY"
    FAILED = "FAILED"


class PredictionRequest(BaseModel):
    """Each input is a text, or an object with the columns the model was trained on."""

    model_config = ConfigDict(extra="forbid")

    inputs: list[str | dict[str, Any]] = Field(min_length=1, max_length=1000)


class Prediction(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    outputs: list[dict[str, Any]]
    model_version: str
    request_id: str
