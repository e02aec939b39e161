"""What lies in an object store, by botocore: listed page by page, read as a stream, or by an address that holds for a while.

botocore is the extra ``s3``. It is imported once somebody asks a store for something, and never else.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

from kargah.contract.stores import Store, StoreAccess
from kargah.kit.errors import Conflict, KargahError, NotAvailable

EXTRA, PACKAGE = "s3", "botocore"
CHUNK_BYTES = 1 << 20
#: How long an address that was signed holds: as long as a slow answer may take to begin, for each is made for one question.
ADDRESS_SECONDS = 3600
_CONNECT_SECONDS, _SILENCE_SECONDS, _ATTEMPTS = 10, 60, 3
#: What botocore would look up in files of the home directory, and in variables that name them.
_OF_THE_HOME = ("profile", "config_file", "credentials_file")
_CHANGED = frozenset({"412", "PreconditionFailed"})
#: It may give it in a while.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class StoreNotInstalled(NotAvailable):
    """``missing``: the package; ``extra``: what of Kargah brings it."""

    code = "STORE_NOT_INSTALLED"


class StoreUnreachable(KargahError):
    """``url`` gave no answer: ``reason``."""

    code = "STORE_UNREACHABLE"
    status = 502


class StoreRefused(KargahError):
    """``url`` answered that it does not give ``path``: ``reason``, as it said it (AccessDenied, NoSuchBucket, SignatureDoesNotMatch …)."""

    code = "STORE_REFUSED"
    status = 502


class ObjectChanged(Conflict):
    """``path`` is not what the last scan found."""

    code = "OBJECT_CHANGED"


class Found(NamedTuple):
    """``path`` is relative to the prefix."""

    path: str
    size_bytes: int
    etag: str


class Objects:
    def __init__(self, store: Store, access: StoreAccess) -> None:
        """Raises StoreNotInstalled."""
        self._store = store
        self._client = _client(store.endpoint, store.region, access)

    def require_readable(self) -> None:
        """One short question. Raises StoreUnreachable, StoreRefused."""
        with self._told(self._store.url):
            self._client.list_objects_v2(Bucket=self._store.bucket, Prefix=self._store.prefix, MaxKeys=1)

    def listed(self) -> Iterator[Found]:
        """All below the prefix, by the order of their names. Raises StoreUnreachable, StoreRefused."""
        with self._told(self._store.url):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._store.bucket, Prefix=self._store.prefix)
            for page in pages:
                for one in page.get("Contents", []):
                    yield Found(one["Key"].removeprefix(self._store.prefix), int(one["Size"]), one["ETag"].strip('"'))

    def read(self, path: str, etag: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` to before ``end``, as long as it is what ``etag`` marks. Asks at once: what is refused is raised here.

        Raises ObjectChanged, StoreUnreachable, StoreRefused.
        """
        part = {"Range": f"bytes={start}-{end - 1 if end is not None else ''}"} if start or end is not None else {}
        with self._told(path):
            answer = self._client.get_object(Bucket=self._store.bucket, Key=self._store.prefix + path, IfMatch=f'"{etag}"', **part)
        return self._chunks(path, answer["Body"])

    def _chunks(self, path: str, body: Any) -> Iterator[bytes]:
        with self._told(path), closing(body):
            while chunk := body.read(CHUNK_BYTES):
                yield chunk

    def address(self, path: str) -> str:
        """Where anybody may read it for a while. It is made here, and nobody is asked."""
        asked = {"Bucket": self._store.bucket, "Key": self._store.prefix + path}
        made: str = self._client.generate_presigned_url("get_object", Params=asked, ExpiresIn=ADDRESS_SECONDS)
        return made

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """botocore's errors as ours, without what it was asked with."""
        from botocore import exceptions

        try:
            yield
        except exceptions.ClientError as error:
            said = str(error.response.get("Error", {}).get("Code", ""))[:100]
            if said in _CHANGED:
                raise ObjectChanged(path=path) from error
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) in _PASSING:
                raise StoreUnreachable(url=self._store.shown, reason=said) from error
            raise StoreRefused(url=self._store.shown, path=path, reason=said) from error
        except (exceptions.BotoCoreError, exceptions.HTTPClientError, ValueError) as error:
            raise StoreUnreachable(url=self._store.shown, reason=type(error).__name__) from error


@lru_cache(maxsize=16)
def _client(endpoint: str | None, region: str | None, access: StoreAccess) -> Any:
    """Takes nothing from the server's environment or home directory: neither keys, nor profiles, nor proxies."""
    try:
        import botocore.session
        from botocore import UNSIGNED
        from botocore.config import Config
    except ImportError as error:
        raise StoreNotInstalled(missing=PACKAGE, extra=EXTRA) from error
    session = botocore.session.Session(session_vars=dict.fromkeys(_OF_THE_HOME, (None, None, None, None)))
    config = Config(
        signature_version="s3v4" if access.key else UNSIGNED,
        s3={"addressing_style": "path" if endpoint else "virtual"},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_SILENCE_SECONDS,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        max_pool_connections=32,
        # Stores that are only compatible know no newer checksums; what is read is held against our own.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,
        proxies={"http": "", "https": ""},
    )
    return session.create_client(
        "s3", region_name=region or "us-east-1", endpoint_url=endpoint, config=config,
        aws_access_key_id=access.key, aws_secret_access_key=access.secret,
    )  # fmt: skip
