"""What is asked for and is not here, fetched from the hubs where the settings say so: by the rules of downloads, once for all who ask."""

from datetime import timedelta

from sqlalchemy.orm import Session

from kargah.datasets import service as datasets
from kargah.hub import names
from kargah.hub.errors import BeingFetched, FetchFailed
from kargah.hub.repositories import Address
from kargah.kit.clock import utc_now
from kargah.kit.errors import Forbidden
from kargah.kit.settings import Settings
from kargah.models import catalogue, downloads
from kargah.models.catalogue import Kind
from kargah.models.downloads import DownloadActive, DownloadOut, DownloadWish, Offline, Status
from kargah.store.access import Actor

#: How long a download that failed is not begun again by those who only look.
RESTS = timedelta(seconds=60)
LOOK_AGAIN_SECONDS = 5
_NOT_THERE = frozenset({"NOT_ON_HUB", "HUB_WANTS_CONSENT", "ONLY_PICKLES", "NOTHING_WANTED"})


def want(session: Session, actor: Actor, settings: Settings, address: Address) -> str | None:
    """The download of it, begun now if nobody has; None for what may not come here, or by this asker. Raises DownloadActive."""
    kind: Kind = "model" if address.kind == "model" else "dataset"
    try:
        entry = catalogue.find(session, actor, kind, address.id)
        known = downloads.latest(session, actor, kind, [entry.repository]).get(entry.repository)
        if known is not None and known.finished_at is not None and known.status is Status.ERROR and known.finished_at > utc_now() - RESTS:
            return known.id
        return downloads.start(session, actor, settings, DownloadWish(repository=address.id, kind=kind)).id
    except (catalogue.NotAllowed, Forbidden, Offline):
        return None
    except DownloadActive as active:
        if active.params["repository"].casefold() != address.id.casefold():
            raise
        return downloads.latest_of(session, actor, kind, address.id).id


def is_settled(session: Session, actor: Actor, download_id: str) -> bool:
    """Whether waiting for it is over. Raises FetchFailed; what the hubs do not have is as if nobody had asked."""
    known = downloads.show(session, actor, download_id)
    if known.status in {Status.ERROR, Status.AVAILABLE}:
        error = known.job.error or {}
        if error.get("code") in _NOT_THERE:
            return True
        raise FetchFailed(repository=known.repository, cause=str(error.get("code", known.job.state)))
    return known.status is Status.READY and (known.dataset_id is None or _is_read(session, actor, known))


def name(session: Session, actor: Actor, download_id: str) -> None:
    """By the name that it has at its own hub."""
    known = downloads.show(session, actor, download_id)
    subject_id = known.model_id or known.dataset_id
    if known.status is Status.READY and subject_id is not None:
        names.give(session, actor, known.kind, subject_id)


def being_fetched(session: Session, actor: Actor, download_id: str) -> BeingFetched:
    known = downloads.show(session, actor, download_id)
    done, total = known.job.progress.get("done") or 0, known.job.progress.get("total") or 0
    share = round(100 * done / total) if total else 0
    return BeingFetched(repository=known.repository, percent=share, retry_after_seconds=LOOK_AGAIN_SECONDS)


def _is_read(session: Session, actor: Actor, known: DownloadOut) -> bool:
    version = datasets.get_for(session, actor, known.dataset_id or "").version
    if version is not None and version.state == "FAILED":
        raise FetchFailed(repository=known.repository, cause=str((version.error or {}).get("code", "FAILED")))
    return version is not None and version.state == "READY"
