"""Tells a new connection PostgreSQL's own array types, for which asyncpg would ask the server.

asyncpg knows the scalar types. At the first use of an array type on a connection it runs a recursive query over the
catalog: 4 ms of the server's processor time and a round trip for each type. The numbers (OIDs) of built-in types
are the same in every server.
"""

from asyncpg import Connection

# The OIDs of an array type and of its elements, from src/include/catalog/pg_type.dat of PostgreSQL. text[] is missing,
# since asyncpg knows it.
ARRAYS = {
    "_bool": (1000, 16),
    "_bytea": (1001, 17),
    "_int2": (1005, 21),
    "_int4": (1007, 23),
    "_int8": (1016, 20),
    "_float8": (1022, 701),
    "_timestamptz": (1185, 1184),
    "_date": (1182, 1082),
    "_interval": (1187, 1186),
    "_numeric": (1231, 1700),
}


def register_arrays(connection: Connection) -> None:
    """Registers ARRAYS as if the server had described them."""
    connection._protocol.get_settings().register_data_types(
        [_describe(name, oid, element) for name, (oid, element) in ARRAYS.items()]
    )


def _describe(name: str, oid: int, element: int) -> dict[str, object]:
    """Returns a row as asyncpg's own query gives it (asyncpg/introspection.py)."""
    return {
        "oid": oid,
        "ns": "pg_catalog",
        "name": name,
        "kind": b"b",
        "basetype": None,
        "elemtype": element,
        "elemdelim": b",",
        "range_subtype": None,
        "attrtypoids": None,
        "attrnames": None,
        "depth": 0,
        "basetype_name": None,
        "elemtype_name": None,
        "range_subtype_name": None,
    }
