"""Servers that are not who they say they are: nothing is sent to any of them, and nothing is ever downgraded."""

import asyncio
import json
import os
import ssl
import sys
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.byte_server import Server, Visit, answer, serving

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
PEM = serialization.Encoding.PEM
CLIENT = """
import asyncio, json, sys
from collector.kiwoom.client import protocol
from collector.kiwoom.transport import HttpTransport
from collector.errors import CollectorError
from collector.secret import Secret

async def asked(url):
    async with HttpTransport(url, timeout=3, user_agent="tests/1", connections=1) as api:
        await api.warm(1)
        try:
            return str((await api.post(protocol.ask_token(Secret("s3ntinel"), Secret("s3ntinel")))).status)
        except CollectorError as error:
            return f"{type(error).__name__}: {error}"

async def main(urls):
    return {name: await asked(url) for name, url in urls.items()}

print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
"""
"""Asks for a token at each URL, in a process of its own, since a process reads whom it trusts but once."""


SIGNING = x509.KeyUsage(
    **dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment"), False),
    **dict.fromkeys(("data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False),
    key_cert_sign=True,
    crl_sign=True,
)
"""Python 3.13 asks of an authority that it says so."""


class Authority:
    """Whom the client trusts; it signs whatever a test wants."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
        certificate = (
            x509.CertificateBuilder(self._name, self._name, self._key.public_key(), 1, NOW - DAY, NOW + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(SIGNING, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(PEM))

    def server(
        self,
        address: str = "127.0.0.1",
        *,
        start: datetime = NOW - DAY,
        end: datetime = NOW + DAY,
        signed: bool = True,
        newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    ) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
        issuer = self._name if signed else subject
        certificate = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), 2, start, end)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key if signed else key, hashes.SHA256())
        )
        private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file = self._folder / "server.pem"
        file.write_bytes(private + certificate.public_bytes(PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return speaking(context, newest)


def speaking(context: ssl.SSLContext, newest: ssl.TLSVersion) -> ssl.SSLContext:
    """The context with whatever TLS there ever was, up to `newest`."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):  # what is older than 1.2 is deprecated, and meant
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = newest
    return context


async def greeting(visit: Visit) -> None:
    await visit.request()
    await visit.send(answer())


async def without_tls(visit: Visit) -> None:
    visit.received = await visit.reader.read(65536)
    await visit.send(answer(status=b"400 Bad Request"))


async def resetting(visit: Visit) -> None:
    await visit.reader.read(1)
    visit.reset()


@pytest.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[str, Server]]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    impostors = {
        "good": authority.server(),
        "self-signed": authority.server(signed=False),
        "of another host": authority.server("127.0.0.2"),
        "expired": authority.server(start=NOW - 2 * DAY, end=NOW - DAY),
        "of tomorrow": authority.server(start=NOW + DAY / 2),
        "TLS 1.0 only": authority.server(newest=ssl.TLSVersion.TLSv1),
        "TLS 1.1 only": authority.server(newest=ssl.TLSVersion.TLSv1_1),
    }
    async with AsyncExitStack() as stack:
        found = {
            name: await stack.enter_async_context(serving(greeting, tls=context))
            for name, context in impostors.items()
        }
        plain = await stack.enter_async_context(serving(without_tls))
        found["plain HTTP"] = Server(plain.port, plain.visits, "https")
        cut = await stack.enter_async_context(serving(resetting))
        found["reset in the handshake"] = Server(cut.port, cut.visits, "https")
        found["authority"] = Server(scheme=str(authority.file))
        yield found


@pytest.fixture(scope="module")
async def said(servers: Mapping[str, Server]) -> Mapping[str, str]:
    """What came of asking each of them."""
    urls = {name: server.url for name, server in servers.items() if name != "authority"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLIENT, json.dumps(urls)),
        env={**os.environ, "SSL_CERT_FILE": servers["authority"].scheme},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    found: dict[str, str] = json.loads(out)
    return found


@pytest.mark.extended
async def test_a_server_that_the_authority_vouches_for_is_asked(
    servers: Mapping[str, Server], said: Mapping[str, str]
) -> None:
    assert said["good"] == "200"
    assert b"s3ntinel" in servers["good"].received
    assert len(servers["good"].visits) == 1  # the connection that was opened ahead


IMPOSTORS = {
    "self-signed": "Unavailable: the host's certificate is not valid, so nothing was sent",
    "of another host": "Unavailable: the host's certificate is not valid, so nothing was sent",
    "expired": "Unavailable: the host's certificate is not valid, so nothing was sent",
    "of tomorrow": "Unavailable: the host's certificate is not valid, so nothing was sent",
    "TLS 1.0 only": "Unavailable: cannot connect",
    "TLS 1.1 only": "Unavailable: cannot connect",
    "plain HTTP": "Unavailable: cannot connect",
    "reset in the handshake": "Unavailable: ",
}


@pytest.mark.parametrize("name", IMPOSTORS)
async def test_nothing_is_sent_to_an_impostor(
    servers: Mapping[str, Server], said: Mapping[str, str], name: str
) -> None:
    assert said[name].startswith(IMPOSTORS[name])
    assert b"s3ntinel" not in servers[name].received
    assert b"HTTP" not in servers[name].received


async def test_the_old_server_does_speak_to_those_who_let_it(servers: Mapping[str, Server]) -> None:
    lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lenient.check_hostname, lenient.verify_mode = False, ssl.CERT_NONE
    speaking(lenient, ssl.TLSVersion.MAXIMUM_SUPPORTED)
    _, writer = await asyncio.open_connection("127.0.0.1", servers["TLS 1.0 only"].port, ssl=lenient)
    assert writer.get_extra_info("ssl_object").version() == "TLSv1"
    writer.close()
