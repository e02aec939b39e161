"""The machine's profile with what it was measured to do, which is kept in the home, one file a host."""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from kargah.contract.measurement import Measurement
from kargah.hardware import advice, profile, scores
from kargah.hardware.schemas import HardwareOut, Machine
from kargah.kit import files

FOLDER = "hardware"


class Kept(BaseModel):
    fingerprint: str
    measurement: Measurement


def show(home: Path) -> HardwareOut:
    """Figures of now; a measurement of another machine than this one has become does not count."""
    machine = profile.machine(home)
    kept = _kept(home, machine)
    measurement = kept.measurement if kept and kept.fingerprint == profile.fingerprint(machine) else None
    return HardwareOut(
        machine=machine,
        measurement=measurement,
        changed=kept is not None and measurement is None,
        scores=scores.of(measurement) if measurement else [],
        advice=advice.on(machine, measurement),
    )


def keep(home: Path, measurement: Measurement) -> None:
    """In place of the one before."""
    machine = profile.machine(home)
    path = _path(home, machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, Kept(fingerprint=profile.fingerprint(machine), measurement=measurement).model_dump(mode="json"))


def _kept(home: Path, machine: Machine) -> Kept | None:
    try:
        return Kept.model_validate(files.read_json(_path(home, machine)))
    except (OSError, ValueError, ValidationError):
        return None


def _path(home: Path, machine: Machine) -> Path:
    return home / FOLDER / f"{machine.host}.json"
