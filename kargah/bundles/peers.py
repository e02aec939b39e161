"""Models and data sets of another Kargah, fetched over the network by the downloader.

A model comes by its signed manifest and then file by file, so it answers here as it does there; a data set by the other's ``/hub``.
Only hosts that an admin has named are asked, whatever their addresses: otherwise anything of the public hubs would come in past the
allow-list.
"""

import json
import time
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from kargah.bundles import importing, signing
from kargah.bundles.errors import PeerNotAllowed, PeerRefused, PeerUnreachable
from kargah.bundles.importing import Words
from kargah.bundles.manifest import Title
from kargah.bundles.signing import SignedManifest
from kargah.contract.hubs import HubAccess
from kargah.contract.plans import BundledFiles, PlannedFile
from kargah.jobs.terms import Terms, Window
from kargah.kit import addresses
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.models import downloads
from kargah.models.downloads import DownloadOut
from kargah.store import access
from kargah.store.access import Actor
from kargah.workers.hub import link
from kargah.workers.hub.link import Broken, Link, Refused

_SILENCE_SECONDS, _ANSWER_SECONDS = 10.0, 30.0
_LARGEST_ANSWER_BYTES = 64 << 20
MOST_LISTED = 100


class Peer(BaseModel):
    """``token``: of an account there; it goes to that origin only, and is kept no longer than the download goes on."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=addresses.LONGEST_URL)
    token: str = Field(min_length=1, max_length=500, repr=False, pattern=r"^[!-~]+$")


class PeerItem(BaseModel):
    """``id``: of a model its version's, of a data set its name at ``/hub``; it is what ``PeerWish`` wants."""

    model_config = ConfigDict(extra="ignore")

    kind: Literal["model", "dataset"]
    id: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")
    title: Title
    size_bytes: int | None = Field(None, ge=0)


class PeerWish(Peer):
    """``signer``: the fingerprint of the other's key, as confirmed, where it is not known here."""

    kind: Literal["model", "dataset"] = "model"
    id: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")
    title: Title | None = None
    signer: str | None = Field(None, pattern=signing.FINGERPRINT)
    window: Window | None = None


def require_allowed(settings: Settings, url: str) -> str:
    """Its origin. Raises BadUrl, HostUnknown, PeerNotAllowed."""
    target = addresses.parsed(url)
    if not addresses.is_named(target, settings.url_import_allow):
        raise PeerNotAllowed(field="url", host=target.host)
    return f"{target.scheme}://{target.authority}"


def items_of(settings: Settings, peer: Peer) -> list[PeerItem]:
    """What it shows to the token, the newest first. Asks the network, at most for a minute."""
    base = require_allowed(settings, peer.url)
    found = _asked(settings, base, peer, f"/api/v1/models?limit={MOST_LISTED}")
    tables = _asked(settings, base, peer, f"/hub/api/datasets?limit={MOST_LISTED}")
    try:
        return [*_models(found["items"]), *(_dataset(one) for one in tables)]
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise PeerUnreachable(url=base, reason=type(error).__name__) from error


def words_of(settings: Settings, wish: PeerWish) -> tuple[Words, SignedManifest] | None:
    """Of a model what it says of itself, by a signature that is right; of a data set nothing."""
    base = require_allowed(settings, wish.url)
    if wish.kind == "dataset":
        return None
    said = _asked(settings, base, wish, f"/api/v1/models/{quote(wish.id, safe='')}/bundle/manifest")
    try:
        signed = SignedManifest.model_validate(said)
    except ValidationError as error:
        raise PeerUnreachable(url=base, reason="manifest") from error
    return importing.of_words(signed.manifest.encode("utf-8", "replace"), signed.signature.model_dump()), signed


def start(session: Session, actor: Actor, settings: Settings, wish: PeerWish, found: tuple[Words, SignedManifest] | None) -> DownloadOut:
    """Queue it. Raises UnknownSigner, DownloadActive, DiskFull, QuotaExceeded."""
    access.require_creator(actor)
    base = "{0.scheme}://{0.authority}".format(addresses.parsed(wish.url))
    size_bytes = 0
    bundled = None
    if found is not None:
        words, signed = found
        importing.require_known(session, actor, settings, words, wish.signer)
        bundled = _bundled(wish, words, signed)
        size_bytes = sum(file.size_bytes for file in bundled.files)
    downloads.require_room(session, actor, settings, size_bytes)
    secret = new_id("peer").lower()
    plan = downloads.plan_of(
        session, actor, settings, repository=wish.id, repository_kind=wish.kind, revision=bundled.commit if bundled else "main",
        title=(found[0].manifest.model.title if found else wish.title), access=secret, bundled=bundled,
        hubs=[base if bundled else f"{base}/hub"],
    )  # fmt: skip
    made = downloads.queue(session, actor, plan, size_bytes, Terms(window=wish.window))
    HubAccess(token=wish.token, token_for=base).write(settings.home, secret)
    return made


def _bundled(wish: PeerWish, words: Words, signed: SignedManifest) -> BundledFiles:
    model = words.manifest.model
    return BundledFiles(
        address=f"/api/v1/models/{quote(wish.id, safe='')}/files/",
        commit=model.commit_id,
        files=[PlannedFile(path=file.path, sha256=file.sha256, size_bytes=file.size_bytes) for file in model.files],
        manifest=signed.manifest,
        signature=signed.signature.model_dump(),
    )


def _models(items: list[dict[str, Any]]) -> list[PeerItem]:
    """Of each its best version, as its own page shows it."""
    best = [(one, next((v for v in one["versions"] if v.get("recommended")), one["versions"][0])) for one in items if one["versions"]]
    return [PeerItem(kind="model", id=version["id"], title=one["title"], size_bytes=version["size_bytes"]) for one, version in best]


def _dataset(said: dict[str, Any]) -> PeerItem:
    card = said.get("cardData") or {}
    return PeerItem(kind="dataset", id=said["id"], title=card.get("pretty_name") or said["id"])


def _asked(settings: Settings, base: str, peer: Peer, path: str) -> Any:
    """JSON. Raises PeerRefused, PeerUnreachable."""
    the_link = Link(HubAccess(token=peer.token, token_for=base), settings.url_import_allow, _SILENCE_SECONDS)
    until_seconds, content = time.monotonic() + _ANSWER_SECONDS, bytearray()
    try:
        with the_link.answer(f"{base}{path}", {"Accept": "application/json"}) as answer:
            for chunk in link.chunks(answer):
                content += chunk
                if len(content) > _LARGEST_ANSWER_BYTES or time.monotonic() > until_seconds:
                    raise Broken("endless answer")
            if answer.length:
                raise Broken("the answer broke off")
        return json.loads(content)
    except Refused as error:
        raise PeerRefused(url=base, http_status=error.status) from error
    except (Broken, ValueError, RecursionError) as error:
        raise PeerUnreachable(url=base, reason=str(error)[:200]) from error
