"""Fetching a raster by its address: whom may be asked, where the connection goes, and what comes back whole."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from geoml_ops.adapters import remote
from geoml_ops.core.errors import BadInput, GeomlError, TooLarge, Unavailable

BODY = b"II*\0" + bytes(range(256)) * 400
ALLOWED = ("localhost", "127.0.0.1", "data.example.org")


@contextmanager
def host(
    answer: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[bytes]]]:
    """A host on loopback that answers every connection in one way; yields its port and what it was asked."""
    asked: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            try:
                line = context.wrap_socket(line, server_side=True) if context else line
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = line.recv(4096)
                    if not piece:
                        break
                    head += piece
                asked.append(head)
                answer(line)
            except OSError:
                pass
            finally:
                line.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1], asked
    finally:
        server.close()


def saying(status: str, body: bytes = BODY, *headers: str, length: int | None = -1) -> Callable[[socket.socket], None]:
    def answer(line: socket.socket) -> None:
        lines = [f"HTTP/1.1 {status}", *headers]
        if length is not None:
            lines.append(f"Content-Length: {len(body) if length < 0 else length}")
        line.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    return answer


def get(port: int, path: Path, *, max_bytes: int = 1 << 20, **more: float) -> int:
    url = f"http://127.0.0.1:{port}/scenes/a.tif?sig=SECRET"
    return remote.fetch(url, path, ALLOWED, max_bytes=max_bytes, loopback=True, **more)


def test_a_file_arrives_whole_and_the_host_is_asked_by_its_name(tmp_path: Path) -> None:
    with host(saying("200 OK")) as (port, asked):
        assert get(port, tmp_path / "a.tif") == len(BODY)
    assert (tmp_path / "a.tif").read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
    (head,) = asked
    assert head.startswith(b"GET /scenes/a.tif?sig=SECRET HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{port}\r\n".encode() in head.lower()
    assert b"accept-encoding: identity" in head.lower()
    assert b"cookie" not in head.lower()
    assert b"authorization" not in head.lower()


def test_a_file_of_unknown_length_is_taken_to_its_end(tmp_path: Path) -> None:
    with host(saying("200 OK", BODY, "Connection: close", length=None)) as (port, _):
        assert get(port, tmp_path / "a.tif") == len(BODY)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (saying("302 Found", b"", "Location: http://169.254.169.254/"), BadInput, "answered 302"),
        (saying("401 Unauthorized"), BadInput, "answered 401"),
        (saying("200 OK", BODY, "Content-Encoding: gzip"), BadInput, "in a coding"),
        (saying("200 OK", length=10**9), TooLarge, "1000000000 bytes; the limit is 1048576"),
        (saying("200 OK", BODY * 12, "Connection: close", length=None), TooLarge, "more than 1048576 bytes"),
        (saying("200 OK", length=len(BODY) + 10), Unavailable, "did not answer to the end"),
        (saying("200 OK", b"<VRTDataset/>"), BadInput, "begins with 3c565254"),
        (saying("200 OK", b"II"), BadInput, "2 bytes, which are no TIFF"),
        (saying("200 OK", b""), BadInput, "0 bytes, which are no TIFF"),
        (lambda line: line.sendall(b"\0\1\2 not a protocol\r\n\r\n"), Unavailable, "did not answer"),
        (lambda line: None, Unavailable, "did not answer"),
    ],
)
def test_other_answers_are_refused_with_a_sentence_and_leave_nothing(
    tmp_path: Path, answer: Callable[[socket.socket], None], error: type[GeomlError], words: str
) -> None:
    with host(answer) as (port, _), pytest.raises(error, match=words) as caught:
        get(port, tmp_path / "a.tif")
    assert "SECRET" not in str(caught.value)
    assert "a.tif" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert list(tmp_path.iterdir()) == []


def drip(line: socket.socket) -> None:
    line.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:8])
    for byte in BODY[8:200]:
        time.sleep(0.02)
        line.sendall(bytes([byte]))


def drip_head(line: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 300:
        time.sleep(0.02)
        line.sendall(bytes([byte]))


def test_a_host_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE_S", 0.2)
    with host(drip) as (port, _), pytest.raises(Unavailable, match="bytes per second; 1000000 are waited for"):
        get(port, tmp_path / "a.tif", least_bytes_per_s=1e6)
    monkeypatch.setattr(remote, "HEAD_S", 0.3)
    with host(drip_head) as (port, _), pytest.raises(Unavailable, match="did not answer to the end"):
        get(port, tmp_path / "a.tif")
    assert list(tmp_path.iterdir()) == []


def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable, match="did not answer"):
        get(port, tmp_path / "a.tif")


@pytest.mark.parametrize(
    "url",
    [
        "http://data.example.org/a.tif",
        "ftp://data.example.org/a.tif",
        "file:///etc/passwd",
        "/etc/passwd",
        "s3://data.example.org/a.tif",
        "/vsicurl/https://data.example.org/a.tif",
        "<VRTDataset/>",
        "",
        "https://",
        "https://user@data.example.org/a.tif",
        "https://user:word@data.example.org/a.tif",
        "https://data.example.org@127.0.0.1/a.tif",
        "https://data.example.org\\@127.0.0.1/a.tif",
        "https://data.example.org.other.org/a.tif",
        "https://other.org/data.example.org",
        "https://data.example.org:8443/a.tif",
        "https://data.example.org:99999/a.tif",
        "https://data.example.org/a.tif#part",
        "https://data.example.org/a\r\nHost: other.org\r\n.tif",
        "https://data.example.org/a b.tif",
        "https://data.exämple.org/a.tif",
        "https://[::1/a.tif",
        "https://127.0.0.1/a.tif",
        "https://2130706433/a.tif",
        "https://0x7f.1/a.tif",
        "https://data.example.org./a.tif",
        "https://data.example.org/" + "a" * 3000,
    ],
)
def test_addresses_that_may_not_be_asked_are_refused_before_a_name_is_looked_up(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    with pytest.raises(BadInput):
        remote.checked(url, ["data.example.org"])


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["192.168.1.1"],
        ["169.254.169.254"],
        ["100.100.100.200"],
        ["0.0.0.0"],
        ["224.0.0.1"],
        ["255.255.255.255"],
        ["::1"],
        ["fd00::1"],
        ["fe80::1%2"],
        ["::ffff:10.0.0.1"],
        ["::ffff:8.8.8.8"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["::127.0.0.1"],
        ["ff02::1"],
        ["8.8.8.8", "10.0.0.1"],
        [],
    ],
)
def test_a_name_that_leads_to_any_other_network_is_refused(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(0, 0, 0, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(BadInput, match="a network that is not asked"):
        remote.checked("https://data.example.org/a.tif", ALLOWED)


def test_a_public_name_is_looked_up_once_and_its_address_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([[(0, 0, 0, "", ("8.8.8.8", 443)), (0, 0, 0, "", ("2001:4860:4860::8888", 443, 0, 0))]])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: next(answers))
    target = remote.checked("HTTPS://Data.Example.Org/a%20b.tif?x=1", [" DATA.example.org ", ""])
    assert (target.scheme, target.host, target.port, target.address) == ("https", "data.example.org", 443, "8.8.8.8")
    assert target.question == "/a%20b.tif?x=1"


def test_a_name_without_an_address_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object, **__: object) -> None:
        raise socket.gaierror("no")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    with pytest.raises(Unavailable, match="has no address"):
        remote.checked("https://data.example.org/a.tif", ALLOWED)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of ``localhost`` in one file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(encoded + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_encryption_names_the_host_though_the_connection_goes_to_its_address(certificate: Path, tmp_path: Path) -> None:
    named: list[str | None] = []
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    serving.sni_callback = lambda _, name, __: named.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with host(saying("200 OK"), serving) as (port, asked):
        url, path = f"https://localhost:{port}/a.tif", tmp_path / "a.tif"
        assert remote.fetch(url, path, ALLOWED, max_bytes=1 << 20, loopback=True, trust=trusting) == len(BODY)
        assert named == ["localhost"]
        assert f"host: localhost:{port}".encode() in asked[0].lower()
        with pytest.raises(Unavailable, match="did not answer"):
            remote.fetch(url, path, ALLOWED, max_bytes=1 << 20, loopback=True)
        other = f"https://127.0.0.1:{port}/a.tif"
        with pytest.raises(Unavailable, match="did not answer"):
            remote.fetch(other, path, ALLOWED, max_bytes=1 << 20, loopback=True, trust=trusting)


def test_the_addresses_in_these_tests_are_what_they_are_taken_for() -> None:
    assert not ipaddress.ip_address("100.100.100.200").is_private
    assert ipaddress.ip_address("64:ff9b::7f00:1").is_global
