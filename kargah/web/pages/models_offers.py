"""What of the catalogue and of downloads is shown: finished values for cards and rows."""

from dataclasses import dataclass
from urllib.parse import urlencode

from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State
from kargah.models.catalogue import Entry
from kargah.models.downloads import DownloadOut, Status
from kargah.models.fitting import Fit
from kargah.models.offers import Offer
from kargah.monitoring.resources import Resource
from kargah.web.pages.parts import Badge
from kargah.web.pages.words import Words

ICONS = {Status.AVAILABLE: "tag", Status.DOWNLOADING: "download", Status.READY: "check", Status.ERROR: "error"}
STYLES = {Status.AVAILABLE: "STOPPED", Status.DOWNLOADING: "downloading", Status.READY: "ready", Status.ERROR: "error"}
FITS = {Fit.WHOLE: ("ready", "check"), Fit.ADAPTERS: ("info", "adapt"), Fit.NOT: ("warn", "warn")}
TABS = (
    ("models", "/models"), ("catalogue", "/models/catalogue"), ("resources", "/models/resources"), ("bundles", "/models/bundles"),
    ("storage", "/models/storage"), ("trash", "/models/trash"),
)  # fmt: skip
_CAN_PAUSE = frozenset({State.RUNNING})
_CAN_RESUME = frozenset({State.PAUSED})
_MILLION = 1_000_000
_PAGES = {"model": "/models/{id}", "dataset": "/datasets/{id}", "checkpoint": "/runs/{id}#run-checkpoints"}


@dataclass(frozen=True)
class DownloadView:
    """How far it is. ``waits``: why it does not run; ``error``: why it came to nothing. ``bar``: the colour of its progress."""

    id: str
    job_id: str
    percent: int
    percent_text: str
    amount: str
    pace: str
    waits: str
    error: str
    bar: str
    can_pause: bool
    can_resume: bool
    can_stop: bool


@dataclass(frozen=True)
class OfferCard:
    """``download``: while it is on its way, or failed. ``address``: of its page here, once it is ready."""

    repository: str
    kind: str
    owner: str
    name: str
    tags: list[str]
    badges: list[Badge]
    state: Badge
    style: str
    facts: list[str]
    licence: str
    download: DownloadView | None
    address: str
    start_address: str
    can_download: bool
    can_update: bool


@dataclass(frozen=True)
class ResourceRow:
    name: str
    kind: str
    state: Badge
    error: str
    source: str
    size: str
    used: str
    when: str
    href: str


@dataclass(frozen=True)
class Tab:
    text: str
    href: str
    current: bool


def tabs(words: Words, current: str) -> list[Tab]:
    return [Tab(words.text(f"models.tab.{name}"), href, name == current) for name, href in TABS]


def card_of(words: Words, offer: Offer) -> OfferCard:
    entry, download = offer.entry, offer.download
    shown = download if download and offer.status in {Status.DOWNLOADING, Status.ERROR} else None
    owner, _, name = entry.repository.rpartition("/")
    return OfferCard(
        repository=entry.repository,
        kind=entry.kind,
        owner=owner,
        name=name,
        tags=_tags(words, entry),
        badges=_badges(words, offer),
        state=state_of(words, offer.status, download.job if download else None),
        style={Status.DOWNLOADING: "dl", Status.ERROR: "bad"}.get(offer.status, ""),
        facts=_facts(words, offer),
        licence=_licence(words, entry),
        download=download_view(words, shown) if shown else None,
        address=_address(offer),
        start_address=_start_address(offer),
        can_download=offer.status is Status.AVAILABLE,
        can_update=offer.status is Status.READY and entry.kind == "model",
    )


def download_view(words: Words, download: DownloadOut) -> DownloadView:
    job, failed = download.job, download.status is Status.ERROR
    known = job.progress
    done, total = known.get("done"), known.get("total")
    percent = min(99, int(known.get("percent") or 0))
    return DownloadView(
        id=download.id,
        job_id=job.id,
        percent=percent,
        percent_text=words.percent(percent / 100, 0),
        amount=_amount(words, done, total, failed),
        pace="" if failed or job.state != State.RUNNING else words.message("download", known if known.get("code") else None),
        waits=_waits(words, job),
        error=words.error(job.error) if failed else "",
        bar="red" if failed else "amber" if job.state in {State.PAUSED, State.PAUSING} else "violet thick",
        can_pause=job.state in _CAN_PAUSE,
        can_resume=job.state in _CAN_RESUME,
        can_stop=not job.is_over,
    )


def state_of(words: Words, status: Status, job: JobOut | None = None) -> Badge:
    """The badge of a card: the documented word, but for a download that waits or rests."""
    if status is Status.DOWNLOADING and job is not None and job.state in {State.QUEUED, State.PAUSED, State.PAUSING}:
        resting = job.state != State.QUEUED
        return Badge("PAUSED" if resting else "QUEUED", "pause" if resting else "clock", words.text(f"state.{job.state}"))
    return Badge(STYLES[status], ICONS[status], words.text(f"resource.status.{status}"))


def row_of(words: Words, one: Resource) -> ResourceRow:
    return ResourceRow(
        name=one.name,
        kind=words.text(f"resource.kind.{one.kind}"),
        state=state_of(words, one.status),
        error=words.error(one.error),
        source=words.text(f"resource.source.{one.source}"),
        size=words.size(one.size_bytes),
        used=words.text("list.comma").join(words.text(f"used_by.{kind}", n=words.number(count)) for kind, count in one.used.items()),
        when=words.ago(one.downloaded_at or one.created_at),
        href=_page_of(one),
    )


def _page_of(one: Resource) -> str:
    """Its own page; of a checkpoint that of its run, of an artifact, or a checkpoint that was sent here, the file itself."""
    if one.kind == "artifact" or (one.kind == "checkpoint" and one.page_id is None):
        return f"/api/v1/assets/{one.id}/download"
    if one.page_id is None:
        kind = f"{one.kind}s" if one.kind in {"model", "dataset"} else "models"
        return f"/models/catalogue?{urlencode({'kind': kind, 'q': one.name})}"
    return _PAGES[one.kind].format(id=one.page_id)


def _amount(words: Words, done: float | None, total: float | None, failed: bool) -> str:
    if not done and (failed or not total):
        return ""
    if failed:
        return words.text("download.kept", done=words.size(done or 0))
    return words.text("progress.of", done=words.size(done or 0), total=words.size(total), unit="").strip()


def _waits(words: Words, job: JobOut) -> str:
    if job.is_over or job.state == State.RUNNING:
        return ""
    return words.message("waiting", job.waiting) if job.waiting else ""


def _tags(words: Words, entry: Entry) -> list[str]:
    tags = [words.text(f"catalogue.task.{entry.task}")] if entry.task else []
    if entry.parameters:
        tags.append(_number_of(words, entry.parameters))
    if entry.rows:
        tags.append(words.text("catalogue.rows", n=words.number(entry.rows)))
    return [*tags, *(words.text(f"catalogue.language.{language}") for language in entry.languages)]


def _number_of(words: Words, parameters: int) -> str:
    if parameters >= 1000 * _MILLION:
        return words.text("catalogue.billions", n=words.number(round(parameters / _MILLION / 1000, 1)))
    return words.text("catalogue.millions", n=words.number(round(parameters / _MILLION)))


def _badges(words: Words, offer: Offer) -> list[Badge]:
    entry, badges = offer.entry, []
    if offer.fit is not None:
        style, icon = FITS[offer.fit]
        badges.append(Badge(style, icon, words.text(f"fit.{offer.fit}")))
    if entry.recommended:
        badges.append(Badge("info", "star", words.text("catalogue.recommended")))
    if entry.gated:
        badges.append(Badge("warn", "key", words.text("catalogue.gated")))
    if entry.for_trade is False:
        badges.append(Badge("warn", "warn", words.text("catalogue.non_commercial")))
    if not entry.in_catalogue:
        badges.append(Badge("STOPPED", "chosen", words.text("catalogue.by_admin")))
    return badges


def _licence(words: Words, entry: Entry) -> str:
    """As the catalogue has it; what the repository itself says is stored with the download."""
    if entry.licence is None:
        return words.text("catalogue.licence_unknown")
    if entry.licence_doubtful:
        return words.text("catalogue.licence_doubtful", name=entry.licence)
    return entry.licence if entry.licence_seen else words.text("catalogue.licence_unseen", name=entry.licence)


def _facts(words: Words, offer: Offer) -> list[str]:
    if offer.size_bytes is None:
        return []
    return [
        words.size(offer.size_bytes) if offer.status is Status.READY else words.text("catalogue.about", size=words.size(offer.size_bytes))
    ]


def _address(offer: Offer) -> str:
    download = offer.download
    if download is None or offer.status is not Status.READY:
        return ""
    return f"/models/{download.model_id}" if download.model_id else f"/datasets/{download.dataset_id}"


def _start_address(offer: Offer) -> str:
    download = offer.download
    if download is None or offer.status is not Status.READY:
        return ""
    version_id = (download.job.result or {}).get("model_version_id")
    return f"/runs/new?start=base_model&base_model={version_id}" if version_id else f"/runs/new?dataset={download.dataset_id}"
