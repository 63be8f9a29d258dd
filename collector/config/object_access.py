"""The access to an object store, from the environment under the names of AWS.

Without keys there, the client looks for them as the tools of AWS do: in the profile, then at the role of the machine.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from collector.base.yaml_text import quote
from collector.errors import ConfigError
from collector.secret import Secret

SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""The first one that is set wins over `archive.endpoint_url`."""
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_DOTS = {".", ".."}


@dataclass(frozen=True, slots=True)
class ObjectAccess:
    """The keys and the server of an object store; None is "not set", and an empty variable is not set either."""

    access_key: str | None = None
    secret_key: Secret | None = None
    session_token: Secret | None = None
    endpoint_url: str | None = None
    """The server; None: AWS."""
    region: str | None = None
    ca_file: str | None = None
    """A file with the certificates that the server may have; None: those of the system."""

    def at(self, endpoint_url: str | None) -> "ObjectAccess":
        """The same with another server, unless the environment or None names none."""
        return self if self.endpoint_url or not endpoint_url else replace(self, endpoint_url=endpoint_url)


def read_object_access(environ: Mapping[str, str], read_file: Callable[[str], Secret]) -> ObjectAccess:
    """Read the variables; `read_file` reads a secret from the file that a variable names.

    Other programs use these variables too, so a wrong value is refused only where the object store is used.
    """
    secret_key, session_token = (_read_secret(name, environ, read_file) for name in SECRETS)
    return ObjectAccess(
        access_key=environ.get("AWS_ACCESS_KEY_ID", "").strip() or None,
        secret_key=secret_key,
        session_token=session_token,
        endpoint_url=_first(ENDPOINTS, environ),
        region=_first(_REGIONS, environ),
        ca_file=_first(("AWS_CA_BUNDLE",), environ),
    )


def _read_secret(name: str, environ: Mapping[str, str], read_file: Callable[[str], Secret]) -> Secret | None:
    text, file = environ.get(name, "").strip(), f"{name}_FILE"
    if text and file in environ:
        raise ConfigError(f"both {name} and {file} are set; unset one of them")
    if file in environ:
        return read_file(file)
    return Secret(text) if text else None


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((text for name in names if (text := environ.get(name, "").strip())), None)


def parse_object_url(text: str) -> tuple[str, str]:
    """Split s3://BUCKET/FOLDER into bucket and folder; ConfigError for another scheme or a URL with a secret.

    A text that may hold a secret is in no message.
    """
    scheme, _, rest = text.partition("://")
    if {"@", "?", "#"} & set(rest):
        raise ConfigError(
            "the URL holds an @, a ? or a #, so it may hold a secret and is not shown; use s3://BUCKET/FOLDER",
            hint="keys are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the server in AWS_ENDPOINT_URL",
        )
    bucket, *folders = rest.split("/")
    folders = [folder for folder in folders if folder]
    if (
        scheme.lower() != "s3"
        or not _BUCKET.fullmatch(bucket)
        or not text.isprintable()
        or _DOTS & set(folders)
    ):
        raise ConfigError(f"{quote(text)} is no place for files; use a folder, or s3://BUCKET/FOLDER")
    return bucket, "/".join(folders)


def why_no_endpoint(url: str) -> str:
    """Explain why a text is no URL of a server, "" if it is; the text is in no message, as it may hold a secret."""
    if {"@", "?", "#"} & set(url):
        return "holds an @, a ? or a #, and may hold a secret"
    try:
        parts = urlsplit(url)
        _ = parts.port  # ValueError if it is no port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or " " in url:
        return "is no URL of http or https"
    return "has a path" if parts.path.strip("/") else ""
