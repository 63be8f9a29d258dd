"""Days into an object store and back: whole or absent, whatever happens on the way, and no secret is shown."""

import asyncio
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

import collector
from collector import config
from collector.archive import object_store
from collector.archive.proof import why_damaged
from collector.archive.store import Locator
from collector.cli.archive import _try_writing
from collector.cli.archive_job import make_archive_job, prover
from collector.cli.context import CliContext
from collector.config import Environment
from collector.config.object_access import ObjectAccess
from collector.db.dsn import Dsn
from collector.errors import ArchiveError, ConfigError
from collector.secret import Secret
from tests.archive.test_commands import BEFORE, KRX, NXT, complaints
from tests.support.archive_harness import DAY, archived, restored, rows_of
from tests.support.byte_server import Visit, answer, serving
from tests.support.command_process import SECRET_KEY, environment, run, run_cold, started
from tests.support.harness import fetch
from tests.support.harness import url as url_of_database
from tests.support.object_server import ACCESS_KEY, ObjectServer, client
from tests.support.tcp_proxy import Proxy, proxied

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.extended


def locator(objects: ObjectServer, url: str | None = None) -> Locator:
    return Locator(ObjectAccess(ACCESS_KEY, Secret(SECRET_KEY), endpoint_url=url or objects.url))


def as_target(url: str) -> Dsn:
    """The server's address as the proxy takes it."""
    parts = urlsplit(url)
    return Dsn(host=parts.hostname, port=parts.port, user="", database="")


def url_of(proxy: Proxy) -> str:
    return f"http://{proxy.address.host}:{proxy.address.port}"


def shown_keys(objects: ObjectServer, bucket: str) -> list[str]:
    return [key for key in objects.keys(bucket) if key.startswith("cold/")]


async def test_a_day_goes_to_a_bucket_and_comes_back_equal(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str
) -> None:
    before, env = await rows_of(filled), environment(None, filled, **objects.variables())
    place = f"s3://{bucket}/cold"
    gone = await run("archive", "--before", BEFORE, "--to", place, env=env, cwd=tmp_path)
    assert (gone.code, complaints(gone)) == (0, "")
    assert [line.rpartition(": ")[2] for line in gone.out.splitlines()] == [
        f"{place}/{KRX}",
        f"{place}/{NXT}",
    ]
    assert objects.keys(bucket) == [f"cold/{KRX}", f"cold/{NXT}"]
    assert await rows_of(filled) == []
    assert await fetch(filled, "SELECT file FROM archive ORDER BY exchange") == [
        (f"{place}/{KRX}",),
        (f"{place}/{NXT}",),
    ]
    back = await run("restore", "2026-11-19", env=env, cwd=tmp_path)
    assert (back.code, complaints(back)) == (0, "")
    assert await rows_of(filled) == before
    again = await run("archive", "--before", BEFORE, "--to", place, env=env, cwd=tmp_path)
    assert (again.code, complaints(again)) == (0, "")
    assert await rows_of(filled) == []


async def test_an_object_is_byte_for_byte_the_local_file(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str
) -> None:
    locate = locator(objects)
    there = await archived(filled, locate(f"s3://{bucket}"))
    await restored(filled, [file.path for file in there])
    here = await archived(filled, tmp_path)
    for one, other in zip(there, here, strict=True):
        body = objects.client.get_object(Bucket=bucket, Key=one.path.key)["Body"].read()
        assert body == other.path.read_bytes()
        assert len(body) == one.size


@pytest.mark.parametrize("source", ["--from", "a URL", "the configuration"])
async def test_a_day_is_found_where_its_objects_were_moved_to(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str, source: str
) -> None:
    before, env = await rows_of(filled), environment(None, filled, **objects.variables())
    await archived(filled, locator(objects)(f"s3://{bucket}/cold"))
    for key in objects.keys(bucket):
        objects.client.copy_object(Bucket=bucket, Key=f"new/{key}", CopySource={"Bucket": bucket, "Key": key})
        objects.client.delete_object(Bucket=bucket, Key=key)
    if source == "--from":
        lost = await run("restore", "2026-11-19", env=env, cwd=tmp_path)
        assert (lost.code, lost.out) == (1, "")
    if source == "the configuration":
        _configure(tmp_path, f"s3://{bucket}/new/cold", endpoint=objects.url)
        del env["AWS_ENDPOINT_URL"]
    named = {
        "--from": ["2026-11-19", "--from", f"s3://{bucket}/new/cold"],
        "a URL": [f"s3://{bucket}/new/cold/{NXT}"],
        "the configuration": ["2026-11-19"],
    }[source]
    back = await run("restore", *named, env=env, cwd=tmp_path)
    assert (back.code, complaints(back)) == (0, "")
    assert await rows_of(filled) == before


def _configure(folder: Path, place: str, *, endpoint: str) -> None:
    (folder / "config").mkdir()
    (folder / "config" / "collector.yaml").write_text(
        "universes:\n  all:\n    - {market: KOSPI, sectors: [001]}\n"
        f"archive:\n  to: {place}\n  endpoint_url: {endpoint}\n"
    )


async def test_an_export_reads_and_writes_objects(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str
) -> None:
    env = environment(None, filled, **objects.variables())
    await archived(filled, locator(objects)(f"s3://{bucket}/cold"))
    period = ("--from", "2026-11-19", "--to", "2026-11-19")
    out = f"s3://{bucket}/exports/november.parquet"
    ended = await run("export", *period, "--output", out, env=env, cwd=tmp_path)
    assert (ended.code, complaints(ended)) == (0, f"687 rows: {out}\n")
    body = objects.client.get_object(Bucket=bucket, Key="exports/november.parquet")["Body"].read()
    assert pq.read_table(io.BytesIO(body)).num_rows == 687
    assert [key for key in objects.keys(bucket) if "part" in key.split("/")] == []


async def test_another_day_under_the_same_name_is_not_written_over(
    filled: Dsn, objects: ObjectServer, bucket: str
) -> None:
    folder = locator(objects)(f"s3://{bucket}")
    first = await archived(filled, folder)
    await restored(filled, [file.path for file in first])
    objects.client.copy_object(Bucket=bucket, Key=KRX, CopySource={"Bucket": bucket, "Key": NXT})
    before = await rows_of(filled)
    with pytest.raises(ArchiveError, match=r"KRX.parquet exists already and holds other rows"):
        await archived(filled, folder)
    assert await rows_of(filled) == before


@pytest.mark.parametrize("damage", ["cut", "a byte", "gone"])
async def test_a_damaged_object_is_refused_by_its_url(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str, damage: str
) -> None:
    env = environment(None, filled, **objects.variables())
    await archived(filled, locator(objects)(f"s3://{bucket}"))
    body = objects.client.get_object(Bucket=bucket, Key=KRX)["Body"].read()
    if damage == "gone":
        objects.client.delete_object(Bucket=bucket, Key=KRX)
    else:
        bent = body[:-50] if damage == "cut" else body[:900] + bytes([body[900] ^ 1]) + body[901:]
        objects.client.put_object(Bucket=bucket, Key=KRX, Body=bent)
    ended = await run("restore", "2026-11-19", "--from", f"s3://{bucket}", env=env, cwd=tmp_path)
    assert ended.code == 1
    expected = "the file KRX.parquet is missing" if damage == "gone" else f"s3://{bucket}/{KRX} is damaged"
    assert expected in complaints(ended)
    assert await rows_of(filled) == []


KILLS = [
    pytest.param(
        b"PUT /{bucket}/cold/.part/",
        False,
        id="before the first byte of the upload",
    ),
    pytest.param(b"PAR1", False, id="in the middle of the upload"),
    pytest.param(
        b"PAR1",
        True,
        id="when the upload has arrived and its answer has not",
    ),
    pytest.param(b"GET /{bucket}/cold/.part/", False, id="while it is read back"),
    pytest.param(b"PUT /{bucket}/cold/snapshot/", False, id="before it gets its name"),
    pytest.param(b"PUT /{bucket}/cold/snapshot/", True, id="when it has its name"),
    pytest.param(
        b"DELETE /{bucket}/cold/.part/",
        False,
        id="before the temporary object goes",
    ),
]


@pytest.mark.parametrize(("words", "is_heard"), KILLS)
async def test_a_kill_loses_nothing(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str, words: bytes, is_heard: bool
) -> None:
    """The program is killed while the network stands still at a known word of its request, or of the answer to it."""
    before = await rows_of(filled)
    command = ("archive", "--before", BEFORE, "--to", f"s3://{bucket}/cold")
    async with proxied(as_target(objects.url)) as proxy:
        env = environment(None, filled, **objects.variables(url_of(proxy)))
        proxy.freeze_at = words.replace(b"{bucket}", bucket.encode())
        proxy.passes_on = is_heard
        async with started(*command, env=env, cwd=tmp_path) as process:
            await proxy.frozen.wait()
            assert process.returncode is None
            process.kill()
            await process.communicate()
    assert await rows_of(filled) == before
    visible = [key for key in objects.keys(bucket) if "/snapshot/" in key]
    assert all(_is_whole(objects, bucket, key) for key in visible)
    env = environment(None, filled, **objects.variables())
    again = await run(*command, env=env, cwd=tmp_path)
    assert (again.code, complaints(again)) == (0, "")
    assert objects.keys(bucket) == [f"cold/{KRX}", f"cold/{NXT}"]
    assert (await run("restore", "2026-11-19", env=env, cwd=tmp_path)).code == 0
    assert await rows_of(filled) == before


def _is_whole(objects: ObjectServer, bucket: str, key: str) -> bool:
    body = objects.client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return pq.read_table(io.BytesIO(body)).num_rows in (582, 105)


UPLOAD = """
import os, sys
from collector import config
from collector.archive.store import Locator, store_of
path = Locator(config.settings(os.environ).object_access)(sys.argv[1])
part = store_of(path).start(path)
for _ in range(2):
    part.file.write(os.urandom(6_000_000))
part.end()
part.publish()
part.discard()
"""


async def test_a_kill_between_the_pieces_of_a_large_upload_leaves_nothing_to_be_seen(
    tmp_path: Path, objects: ObjectServer, bucket: str
) -> None:
    command = ("-c", UPLOAD, f"s3://{bucket}/cold/snapshot/date=2026-11-19/KRX.parquet")
    async with proxied(as_target(objects.url)) as proxy:
        proxy.freeze_at = b"partNumber=2"
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, env=environment(**objects.variables(url_of(proxy))), cwd=ROOT
        )
        await proxy.frozen.wait()
        process.kill()
        await process.wait()
    assert objects.keys(bucket) == []
    assert len(objects.client.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1
    again = await run_cold(*command, env=environment(**objects.variables()), cwd=ROOT)
    assert (again.code, again.err) == (0, "")
    assert objects.keys(bucket) == [f"cold/{KRX}"]
    assert objects.client.head_object(Bucket=bucket, Key=f"cold/{KRX}")["ContentLength"] == 12_000_000


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(b"PAR1", id="upload"),
        pytest.param(b"PUT /{bucket}/cold/snapshot/", id="naming"),
    ],
)
async def test_a_network_that_is_cut_for_good_loses_nothing(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str, words: bytes
) -> None:
    before = await rows_of(filled)
    async with proxied(as_target(objects.url)) as proxy:
        env = environment(None, filled, **objects.variables(url_of(proxy)))
        proxy.freeze_at = words.replace(b"{bucket}", bucket.encode())
        command = ("archive", "--before", BEFORE, "--to", f"s3://{bucket}/cold")
        async with started(*command, env=env, cwd=tmp_path) as process:
            await proxy.frozen.wait()
            proxy.cut_for_good()
            _, err = await process.communicate()
    assert process.returncode == 1
    assert f"{url_of(proxy)} cannot be reached" in err.decode()
    assert await rows_of(filled) == before
    env = environment(None, filled, **objects.variables())
    assert (await run(*command, env=env, cwd=tmp_path)).code == 0
    assert objects.keys(bucket) == [f"cold/{KRX}", f"cold/{NXT}"]


async def test_a_network_that_is_cut_once_is_asked_again(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str
) -> None:
    async with proxied(as_target(objects.url)) as proxy:
        env = environment(None, filled, **objects.variables(url_of(proxy)))
        proxy.last_words, proxy.are_heard = b"PAR1", False
        command = ("archive", "--before", BEFORE, "--to", f"s3://{bucket}/cold")
        ended = await run(*command, env=env, cwd=tmp_path)
        assert proxy.last_words == b""
    assert (ended.code, complaints(ended)) == (0, "")
    assert objects.keys(bucket) == [f"cold/{KRX}", f"cold/{NXT}"]


@contextmanager
def judging_keys(objects: ObjectServer) -> Iterator[dict[str, str]]:
    """The server refuses unknown keys and denies what was not allowed; the keys of a user who may do nothing."""
    iam = client("iam", objects.url)
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    _limit_free_actions(objects, "0")
    try:
        yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    finally:
        _limit_free_actions(objects, "inf")
        iam.delete_access_key(UserName="nobody", AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName="nobody")


def _limit_free_actions(objects: ObjectServer, count: str) -> None:
    """How many requests the server answers before it looks at keys."""
    headers = {"Content-Type": "text/plain"}
    url = f"{objects.url}/moto-api/reset-auth"
    urlopen(Request(url, count.encode(), headers, method="POST"), timeout=600).close()


async def test_denied_access_says_what_the_keys_must_allow(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str
) -> None:
    before = await rows_of(filled)
    with judging_keys(objects) as keys:
        env = environment(None, filled, **objects.variables() | keys)
        ended = await run("archive", "--before", BEFORE, "--to", f"s3://{bucket}/cold", env=env, cwd=tmp_path)
    assert ended.code == 2
    assert (
        f"s3://{bucket}/cold cannot be written: {objects.url} denies access to the bucket {bucket}"
        in ended.err
    )
    assert "s3:PutObject" in ended.err
    assert keys["AWS_SECRET_ACCESS_KEY"] not in ended.err
    assert await rows_of(filled) == before


async def test_unknown_keys_are_named_as_the_reason(
    database: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str
) -> None:
    with judging_keys(objects):
        env = environment(None, database, **objects.variables())
        ended = await run("archive", "--before", BEFORE, "--to", f"s3://{bucket}/cold", env=env, cwd=tmp_path)
    assert ended.code == 2
    assert f"{objects.url} refuses the keys" in ended.err


@pytest.mark.parametrize(
    ("place", "more", "complaint"),
    [
        pytest.param(
            "s3://no-such-bucket/cold",
            {},
            "the bucket no-such-bucket does not exist at http://127.0.0.1:",
            id="bucket",
        ),
        pytest.param(
            "s3://bucket/cold",
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "http://127.0.0.1:9 cannot be reached",
            id="network",
        ),
        pytest.param(
            "s3://bucket/cold",
            {"AWS_ENDPOINT_URL": "http://no.such.host.invalid"},
            "http://no.such.host.invalid cannot be reached",
            id="name of the server",
        ),
        pytest.param(
            f"s3://{ACCESS_KEY}:{SECRET_KEY}@bucket/cold",
            {},
            "it may hold a secret and is not shown",
            id="keys in the URL",
        ),
        pytest.param(
            f"s3://bucket/cold?secret_key={SECRET_KEY}",
            {},
            "it may hold a secret and is not shown",
            id="a key behind it",
        ),
        pytest.param(
            f"https://bucket.example/cold?X-Amz-Signature={SECRET_KEY}",
            {},
            "may hold a secret",
            id="a signed URL",
        ),
        pytest.param("gs://bucket/cold", {}, "'gs://bucket/cold' is no place for files", id="another scheme"),
        pytest.param("s3:///cold", {}, "'s3:///cold' is no place for files", id="no bucket"),
        pytest.param("s3://bucket/../cold", {}, "is no place for files", id="dots"),
        pytest.param(
            "s3://bucket/cold",
            {"AWS_ENDPOINT_URL": f"https://me:{SECRET_KEY}@minio:9000"},
            "may hold a secret",
            id="keys in the server's URL",
        ),
        pytest.param(
            "s3://bucket/cold",
            {"AWS_ENDPOINT_URL": "minio:9000"},
            "is no URL of http or https",
            id="no scheme",
        ),
        pytest.param(
            "s3://bucket/cold",
            {"AWS_SECRET_ACCESS_KEY": None},
            "one is set and the other is not",
            id="half a key",
        ),
    ],
)
async def test_what_is_wrongly_asked_is_refused(
    database: Dsn,
    tmp_path: Path,
    objects: ObjectServer,
    place: str,
    more: dict[str, str | None],
    complaint: str,
) -> None:
    env = environment(None, database, **{**objects.variables(), **more})
    ended = await run("archive", "--before", BEFORE, "--to", place, env=env, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert complaint in complaints(ended)


async def test_a_secret_key_may_be_in_a_file(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET_KEY)
    secret.chmod(0o600)
    variables = objects.variables() | {"AWS_SECRET_ACCESS_KEY_FILE": str(secret)}
    del variables["AWS_SECRET_ACCESS_KEY"]
    env = environment(None, filled, **variables)
    ended = await run("archive", "--before", BEFORE, "--to", f"s3://{bucket}", env=env, cwd=tmp_path)
    assert (ended.code, complaints(ended)) == (0, "")


def test_an_object_in_another_scheme_is_refused_everywhere() -> None:
    with pytest.raises(ConfigError, match="is no place for files"):
        Locator()("s3a://bucket/cold")


def context_of(database: Dsn, folder: Path, objects: ObjectServer, bucket: str) -> CliContext:
    """A daemon whose configuration names the bucket and its server, and whose environment held the keys."""
    _configure(folder, f"s3://{bucket}/cold", endpoint=objects.url)
    access = ObjectAccess(ACCESS_KEY, Secret(SECRET_KEY))
    environment = Environment(database_url=Secret(url_of_database(database)), object_access=access)
    return CliContext(environment, config.load(folder / "config" / "collector.yaml"))


async def test_a_night_moves_days_to_the_configured_bucket(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    with capture_logs() as logs:
        await make_archive_job(context_of(filled, tmp_path, objects, bucket))(date(2026, 11, 20))
    assert [line["event"] for line in logs] == ["archive.output"] * 2
    assert objects.keys(bucket) == [f"cold/{KRX}", f"cold/{NXT}"]
    assert await rows_of(filled) == []


@pytest.mark.parametrize("damage", ["untouched", "cut", "gone", "no server"])
async def test_a_day_in_a_bucket_counts_as_archived_only_while_its_objects_are_whole(
    filled: Dsn, objects: ObjectServer, bucket: str, damage: str
) -> None:
    await archived(filled, locator(objects)(f"s3://{bucket}"))
    noted = await fetch(filled, "SELECT file, digest FROM archive ORDER BY exchange")
    if damage == "cut":
        _cut(objects, bucket)
    if damage == "gone":
        objects.client.delete_object(Bucket=bucket, Key=KRX)
    locate = locator(objects, "http://127.0.0.1:9" if damage == "no server" else None)
    reason = await asyncio.to_thread(why_damaged, DAY, noted, locate)
    expected = {
        "untouched": "",
        "cut": f"s3://{bucket}/{KRX} is damaged",
        "gone": f"s3://{bucket}/{KRX} is not there",
        "no server": f"s3://{bucket}/{KRX} cannot be read: http://127.0.0.1:9 cannot be reached",
    }[damage]
    assert reason.startswith(expected)
    assert bool(reason) == (damage != "untouched")


def _cut(objects: ObjectServer, bucket: str) -> None:
    body = objects.client.get_object(Bucket=bucket, Key=KRX)["Body"].read()
    objects.client.put_object(Bucket=bucket, Key=KRX, Body=body[:-40])


async def test_the_daemon_has_the_objects_of_a_day_read_by_a_process(
    filled: Dsn, tmp_path: Path, objects: ObjectServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    await archived(filled, locator(objects)(f"s3://{bucket}"))
    noted = await fetch(filled, "SELECT file, digest FROM archive ORDER BY exchange")
    _cut(objects, bucket)
    reason = await prover(context_of(filled, tmp_path, objects, bucket))(DAY, noted)
    assert reason.startswith(f"s3://{bucket}/{KRX} is damaged")


async def test_a_silent_server_is_given_up(
    filled: Dsn, objects: ObjectServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection and says nothing, in the middle of an upload."""
    monkeypatch.setattr(object_store, "SILENCE", 1.0)
    monkeypatch.setattr(object_store, "ATTEMPTS", 2)
    before = await rows_of(filled)
    async with proxied(as_target(objects.url)) as proxy:
        proxy.freeze_at = b"PAR1"
        with pytest.raises(ArchiveError, match=r"KRX.parquet cannot be written: .* cannot be reached"):
            await archived(filled, locator(objects, url_of(proxy))(f"s3://{bucket}"))
    assert await rows_of(filled) == before
    assert objects.keys(bucket) == []


REDIRECT = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>PermanentRedirect</Code><Message>The bucket must be addressed using the specified endpoint.</Message>
<Endpoint>prices.s3.ap-northeast-2.amazonaws.com</Endpoint><Bucket>prices</Bucket></Error>"""
"""The answer of AWS for a bucket of another region, as its documentation shows it."""


async def test_a_bucket_of_another_region_is_named_with_its_region() -> None:
    async def redirect(visit: Visit) -> None:
        while True:
            head = await visit.request()
            body = b"" if head.startswith(b"HEAD") else REDIRECT
            headers = (b"x-amz-bucket-region: ap-northeast-2", b"Content-Type: application/xml")
            await visit.send(answer(body, *headers, status=b"301 Moved Permanently"))

    async with serving(redirect) as server:
        access = ObjectAccess(ACCESS_KEY, Secret(SECRET_KEY), endpoint_url=server.url)
        folder = Locator(access)("s3://prices/cold")
        with pytest.raises(ConfigError) as caught:
            await asyncio.to_thread(_try_writing, folder)
    assert "the bucket prices is in another region, ap-northeast-2" in str(caught.value)
    assert caught.value.hint == "set AWS_REGION=ap-northeast-2"


async def test_what_a_server_quotes_of_a_secret_is_not_shown() -> None:
    quoted = b"<Error><Code>Teapot</Code><Message>you sent " + SECRET_KEY.encode() + b"</Message></Error>"

    async def quote(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.send(answer(quoted, b"Content-Type: application/xml", status=b"418 Teapot"))

    async with serving(quote) as server:
        access = ObjectAccess(ACCESS_KEY, Secret(SECRET_KEY), endpoint_url=server.url)
        with pytest.raises(ConfigError) as caught:
            await asyncio.to_thread(_try_writing, Locator(access)("s3://prices/cold"))
    assert "you sent ***" in str(caught.value)


async def test_python_reads_a_bucket_as_it_reads_a_folder(
    filled: Dsn, objects: ObjectServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in objects.variables().items():
        monkeypatch.setenv(name, value)
    with collector.open(url_of_database(filled)) as db:
        rows, breadth = db.snapshots(DAY).to_arrow(), db.breadth("KOSPI", "001", day=DAY).to_arrow()
    await archived(filled, locator(objects)(f"s3://{bucket}/cold"))
    with collector.open(url_of_database(filled)) as db:
        order = [("slot", "ascending"), ("market", "ascending"), ("position", "ascending")]
        assert db.snapshots(DAY).to_arrow().sort_by(order) == rows.sort_by(order)
        assert db.breadth("KOSPI", "001", day=DAY).to_arrow() == breadth
    for key in objects.keys(bucket):
        source = {"Bucket": bucket, "Key": key}
        objects.client.copy_object(Bucket=bucket, Key=f"new/{key}", CopySource=source)
        objects.client.delete_object(Bucket=bucket, Key=key)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    place = f"s3://{bucket}/new/cold"
    with collector.open(url_of_database(filled), files=place, endpoint_url=objects.url) as db:
        assert len(db.snapshots(DAY)) == len(rows)
    with (
        collector.open(url_of_database(filled), endpoint_url=objects.url) as db,
        pytest.raises(
            ArchiveError, match=r"KRX.parquet with the rows of 2026-11-19 cannot be read: .*no such"
        ),
    ):
        db.snapshots(DAY)
