"""A database's address as other programs want it: libpq's URI, SQLAlchemy's URL, libpq's keywords."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from collector.db.dsn import Dsn

FORMATS = ("uri", "sqlalchemy", "libpq")


def format_address(address: Dsn, form: str, *, with_password: bool = False) -> str:
    """The address in one of FORMATS. Without its password unless asked: what is printed is copied and kept."""
    if form == "libpq":
        pairs = libpq_parameters(address, with_password=with_password).items()
        return " ".join(f"{name}={_quote_value(text)}" for name, text in pairs)
    scheme = "postgresql+psycopg" if form == "sqlalchemy" else "postgresql"
    return f"{scheme}://{_user(address, with_password=with_password)}@{_location(address)}"


def libpq_parameters(address: Dsn, *, with_password: bool = True) -> Mapping[str, str]:
    """The address as libpq's keywords, which ADBC, psycopg and psql read."""
    parameters = {
        "host": address.host,
        "port": str(address.port),
        "user": address.user,
        "dbname": address.database,
    }
    if not address.is_socket:
        parameters["sslmode"] = address.sslmode
    if address.sslmode.startswith("verify"):
        parameters["sslrootcert"] = address.sslrootcert or "system"
    if with_password and address.password:
        parameters["password"] = address.password.reveal()
    return parameters


def _user(address: Dsn, *, with_password: bool) -> str:
    user = quote(address.user, safe="")
    if with_password and address.password:
        return f"{user}:{quote(address.password.reveal(), safe='')}"
    return user


def _location(address: Dsn) -> str:
    database = quote(address.database, safe="")
    if address.is_socket:
        port = {} if address.port == 5432 else {"port": str(address.port)}
        return f"/{database}?{urlencode({'host': address.host, **port}, safe='/')}"
    host = f"[{address.host}]" if ":" in address.host else address.host
    options = {
        name: text
        for name, text in libpq_parameters(address, with_password=False).items()
        if name.startswith("ssl") and (name, text) != ("sslmode", "prefer")
    }
    return f"{host}:{address.port}/{database}" + (f"?{urlencode(options, safe='/')}" if options else "")


def _quote_value(text: str) -> str:
    if text and not set(text) & set(" '\\"):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
