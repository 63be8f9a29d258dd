"""Files in a bucket of an object store that speaks S3: AWS, MinIO, R2 and others, through pyarrow.

An object appears when its upload is completed, never in part. A file is uploaded under PREFIX/.part, read back there,
and copied to its own name by the server. A killed writer leaves an unfinished upload, which is invisible, or an
object under `.part`; no program reads it, and the next writer replaces it.
"""

import errno
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.fs as pafs

from collector.config.object_access import ObjectAccess, why_no_endpoint
from collector.errors import ConfigError
from collector.kiwoom.redact import Redactor

CONNECT_TIMEOUT = 10.0
SILENCE = 20.0
"""Seconds without a byte after which an attempt is given up; a copy of 100 MB within a server takes less."""
ATTEMPTS = 3
_PARTS = ".part"
_PIECE = 4 << 20
"""Bytes of one request of a download."""
_ANY_REGION = "us-east-1"
"""The region of servers that have none: MinIO and R2 take it."""
_AWS_ERROR = re.compile(
    r"AWS Error (?P<code>\w+)(?: \(HTTP status (?P<status>\d+)\))? during (?P<operation>\w+) operation: (?P<text>.*)",
    re.DOTALL,
)
_REQUEST_ID = re.compile(r"\s*\(Request ID: [^)]*\)")
_NO_BUCKET = re.compile(r"Bucket '[^']*' not found")
_ELSEWHERE = re.compile(r"HTTP status (?:301|307|400)\b")
_BUCKET_REGION = re.compile(r"bucket is located in '([a-z0-9-]+)'|expecting '([a-z0-9-]+)'")
_BAD_KEYS = (
    "INVALID_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID",
    "UNRECOGNIZED_CLIENT",
    "MISSING_AUTHENTICATION_TOKEN",
    "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_SIGNATURE",
    "INCOMPLETE_SIGNATURE",
)
_BUSY = ("SLOW_DOWN", "THROTTLING", "SERVICE_UNAVAILABLE", "INTERNAL_FAILURE", "REQUEST_TIMEOUT")
_REASONS = {
    "region": ("the bucket {bucket} is in another region, {region}", "set AWS_REGION={region}"),
    "network": (
        "{server} cannot be reached",
        "look at the network and at AWS_ENDPOINT_URL or archive.endpoint_url; nothing is lost",
    ),
    "bucket": ("the bucket {bucket} does not exist at {server}", "create it, or correct its name"),
    "keys": (
        "{server} refuses the keys",
        "look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or at the profile of AWS",
    ),
    "denied": (
        "{server} denies access to the bucket {bucket}",
        "give keys that may s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject there",
    ),
    "busy": ("{server} is busy or out of order", "try again later; nothing is lost"),
    "request": ("{server} refuses the request", "look at AWS_REGION: it must be the region of the bucket"),
    "other": ("{server} refuses the request with {code}", ""),
}


@dataclass(frozen=True)
class ObjectPath:
    """An object, or the common beginning of the names of several, as a path."""

    store: "ObjectStore"
    key: str

    def __str__(self) -> str:
        return f"s3://{self.address}"

    def __truediv__(self, name: str) -> "ObjectPath":
        return ObjectPath(self.store, f"{self.key}/{name}" if self.key else name)

    @property
    def address(self) -> str:
        """BUCKET/KEY, as pyarrow names an object."""
        return f"{self.store.bucket}/{self.key}" if self.key else self.store.bucket

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> "ObjectPath":
        return ObjectPath(self.store, self.key.rpartition("/")[0])

    def absolute(self) -> "ObjectPath":
        return self

    def name_part(self) -> "ObjectPath":
        """The temporary name of a file. It is outside the folder of the files, so no reader of that folder sees it."""
        folder, _, name = self.key.rpartition("/")
        root, _, day = folder.rpartition("/")
        prefix = root.rpartition("/")[0] if root.rpartition("/")[2] == "snapshot" else folder
        return ObjectPath(self.store, prefix) / _PARTS / f"{day}-{name}".lstrip("-")


class ObjectStore:
    """One bucket. The client is made at the first use."""

    def __init__(self, bucket: str, access: ObjectAccess) -> None:
        self.bucket = bucket
        self._access = _check_access(access)
        self._client: Any = None
        self._redactor = Redactor()
        secrets = (access.secret_key, access.session_token)
        self._redactor.learn([secret for secret in secrets if secret is not None])

    @property
    def client(self) -> Any:
        if self._client is None:
            self._client = _connect(self.bucket, self._access)
        return self._client

    def start(self, path: ObjectPath) -> "ObjectPart":
        return ObjectPart(self.client, path)

    def open(self, path: ObjectPath) -> Any:
        """Download the object into a file without a name, so a file is fetched once however often it is read."""
        with tempfile.NamedTemporaryFile(prefix="collector-") as spool:
            with self.client.open_input_stream(path.address) as source:
                shutil.copyfileobj(source, spool, _PIECE)
            spool.flush()
            return pa.OSFile(spool.name)

    @contextmanager
    def replace(self, path: ObjectPath) -> Iterator[IO[bytes]]:
        part = self.start(path)
        try:
            yield part.file
            part.end()
            part.publish()
        finally:
            part.discard()

    def is_file(self, path: ObjectPath) -> bool:
        return bool(self.client.get_file_info(path.address).is_file)

    def size(self, path: ObjectPath) -> int:
        return int(self.client.get_file_info(path.address).size or 0)

    def open_filesystem(self, path: ObjectPath) -> tuple[Any, str]:
        return self.client, path.address

    def try_writing(self, folder: ObjectPath) -> None:
        path = (folder / _PARTS / "test").address
        try:
            with self.client.open_output_stream(path) as file:
                file.write(b"collector tries to write here\n")
            self.client.delete_file(path)
        except OSError as error:
            raise self._find_region(path, error) or error from None

    def _find_region(self, path: str, error: OSError) -> OSError | None:
        """The same refusal with the region of the bucket, which only the answer to HEAD names."""
        if _ELSEWHERE.search(str(error)):
            try:
                self.client.get_file_info(path)
            except OSError as answer:
                return answer if _BUCKET_REGION.search(str(answer)) else None
        return None

    def explain(self, error: BaseException | None) -> tuple[str, str] | None:
        if not isinstance(error, OSError):
            return None
        if error.errno:
            return _explain_errno(error)
        if _NO_BUCKET.fullmatch(str(error)):
            return self._name_reason("NO_SUCH_BUCKET", "", "")
        match = _AWS_ERROR.search(str(error))
        if match is None:
            return None
        text = _REQUEST_ID.sub("", match["text"].partition("\n")[0]).strip().rstrip(".")
        shown = self._redactor.redact(text.encode(), is_error=True).decode()
        what, hint = self._name_reason(match["code"], match["status"] or "", str(error))
        return f"{what} ({match['operation']}: {shown})", hint

    def _name_reason(self, code: str, status: str, whole: str) -> tuple[str, str]:
        """What is wrong and what to do; the first rule that fits."""
        region = _BUCKET_REGION.search(whole)
        names = {
            "bucket": self.bucket,
            "server": self._access.endpoint_url or "AWS",
            "region": (region[1] or region[2]) if region else "",
            "code": code,
        }
        fits = {
            "region": bool(region),
            "network": code == "NETWORK_CONNECTION",
            "bucket": code == "NO_SUCH_BUCKET",
            "keys": code in _BAD_KEYS or "xpired" in whole,
            "denied": code == "ACCESS_DENIED" or status in ("401", "403"),
            "busy": code in _BUSY or status.startswith("5"),
            "request": status in ("301", "307", "400"),
        }
        what, hint = _REASONS[next((name for name, fit in fits.items() if fit), "other")]
        return what.format(**names), hint.format(**names)


class ObjectPart:
    """An object being uploaded under a temporary name."""

    def __init__(self, client: Any, path: ObjectPath) -> None:
        self._client = client
        self._path = path
        self.location = path.name_part()
        self.file: IO[bytes] = client.open_output_stream(self.location.address)

    def end(self) -> None:
        self.file.close()

    def publish(self) -> int:
        uploaded = self._client.get_file_info(self.location.address)
        self._client.copy_file(self.location.address, self._path.address)
        copied = self._client.get_file_info(self._path.address)
        if not copied.is_file or copied.size != uploaded.size:
            raise OSError(errno.EIO, f"the server copied {copied.size} of {uploaded.size} bytes")
        return int(copied.size)

    def discard(self) -> None:
        with suppress(OSError, ValueError):
            self.file.close()
        with suppress(OSError):
            self._client.delete_file(self.location.address)


def _check_access(access: ObjectAccess) -> ObjectAccess:
    if reason := why_no_endpoint(access.endpoint_url) if access.endpoint_url else "":
        raise ConfigError(
            f"the URL of the object store {reason}; use https://HOST:PORT (it is not shown)",
            hint="it is in AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or archive.endpoint_url",
        )
    if (access.access_key is None) != (access.secret_key is None):
        raise ConfigError(
            "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY one is set and the other is not",
            hint="set both, or neither to use the profile of AWS",
        )
    return access


def _connect(bucket: str, access: ObjectAccess) -> Any:
    """A client of pyarrow. Without keys it looks for them as the tools of AWS do."""
    secret, token = access.secret_key, access.session_token
    region = access.region or (_ANY_REGION if access.endpoint_url else pafs.resolve_s3_region(bucket))
    return pafs.S3FileSystem(
        access_key=access.access_key,
        secret_key=secret.reveal() if secret else None,
        session_token=token.reveal() if token and secret else None,
        region=region,
        endpoint_override=access.endpoint_url,
        tls_ca_file_path=access.ca_file,
        connect_timeout=CONNECT_TIMEOUT,
        request_timeout=SILENCE,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,
        # One buffer of 10 MB at a time: uploads in the background have no bound.
        background_writes=False,
    )


def _explain_errno(error: OSError) -> tuple[str, str]:
    if error.errno == errno.ENOENT:
        return "there is no such object", ""
    if error.errno == errno.ENOSPC:
        return f"the temporary folder {tempfile.gettempdir()} is full", "free some space, or set TMPDIR"
    return error.strerror or str(error), ""
