"""The door with a certificate of its own."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.chassis.runtime.config import ConfigError
from tests.fakes.kernel import small_kernel
from tests.rpc.gateway.test_door import TOKEN, door


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for the loopback address and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "door")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert_file, key_file


async def test_with_a_certificate_the_door_speaks_tls_only(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=str(cert))
    async with (
        small_kernel() as kernel,
        door(kernel, tls_cert_file=str(cert), tls_key_file=str(key)) as (opened, plain),
        aiohttp.ClientSession(headers=TOKEN) as client,
    ):
        url = f"https://127.0.0.1:{opened.port}/v1/plain"
        async with client.post(url, json={"text": "hello"}, ssl=trusting) as answer:
            assert (await answer.text()).splitlines()[-1].startswith("finished")
        with pytest.raises(aiohttp.ClientError):
            await client.post(f"{plain}/v1/plain", json={"text": "hello"})


async def test_a_new_certificate_is_shown_from_the_next_connection_on(tmp_path: Path) -> None:
    def shown(port: int) -> str:
        return ssl.get_server_certificate(("127.0.0.1", port))

    cert, key = certificate(tmp_path)
    async with (
        small_kernel() as kernel,
        door(kernel, tls_cert_file=str(cert), tls_key_file=str(key)) as opened,
    ):
        port = opened[0].port
        first = await asyncio.to_thread(shown, port)
        await asyncio.to_thread(cert.write_bytes, b"half of a pair")
        await opened[0].renew_certificate()
        assert await asyncio.to_thread(shown, port) == first
        await asyncio.to_thread(certificate, tmp_path)
        await opened[0].renew_certificate()
        assert await asyncio.to_thread(shown, port) != first


async def test_a_client_that_does_not_shake_hands_is_cut_off(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    async with (
        small_kernel() as kernel,
        door(kernel, tls_cert_file=str(cert), tls_key_file=str(key), read_seconds="0.2") as (opened, _),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        writer.write(b"\x16\x03\x01")
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


async def test_a_certificate_without_its_key_is_a_wrong_setting() -> None:
    async with small_kernel() as kernel:
        with pytest.raises(ConfigError, match="belong together"):
            async with door(kernel, tls_cert_file="cert.pem"):
                pass
