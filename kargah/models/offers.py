"""The catalogue as one sees it here: what fits this machine, what is on its way, what is ready."""

from pydantic import BaseModel
from sqlalchemy.orm import Session

from kargah.models import catalogue, downloads
from kargah.models.catalogue import Entry, Kind
from kargah.models.downloads import DownloadOut, Status
from kargah.models.fitting import Fit, fit_of
from kargah.store.access import Actor


class Offer(BaseModel):
    """``download``: the latest of it, whatever became of that."""

    entry: Entry
    status: Status
    fit: Fit | None
    size_bytes: int | None
    download: DownloadOut | None = None


def list_for(session: Session, actor: Actor, kind: Kind, room_bytes: int | None, query: str = "", task: str | None = None) -> list[Offer]:
    """What is on its way first, then the catalogue's order. Without ``room_bytes`` nobody says what fits."""
    known = downloads.latest(session, actor, kind)
    offers = [_offer(entry, known.get(entry.repository), room_bytes) for entry in catalogue.search(session, actor, kind, query, task)]
    return sorted(offers, key=lambda offer: offer.status not in {Status.DOWNLOADING, Status.ERROR})


def _offer(entry: Entry, download: DownloadOut | None, room_bytes: int | None) -> Offer:
    size_bytes = entry.size_bytes
    if download is not None and download.job.progress.get("total"):
        size_bytes = int(download.job.progress["total"])
    return Offer(
        entry=entry,
        status=download.status if download else Status.AVAILABLE,
        fit=fit_of(entry.parameters, entry.bytes_a_parameter, room_bytes) if room_bytes is not None and entry.kind == "model" else None,
        size_bytes=size_bytes,
        download=download,
    )
