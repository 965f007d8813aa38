"""The certificates of a kernel on one machine."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from launcher.authority import AUTHORITY_LIFE, LEAF_LIFE, Authority
from launcher.data import prepare
from launcher.plan import KernelPlan

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["access", "gateway"]


def shown(authority: Authority, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.certificate(name).read_bytes())


def test_each_process_has_one_that_the_authority_has_signed_for_a_day(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    made = authority.renew(NAMES, now=NOW)
    store = Store(x509.load_pem_x509_certificates(authority.file.read_bytes()))
    server = PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName("access"))
    client = PolicyBuilder().store(store).time(NOW).build_client_verifier()

    assert made == NAMES
    server.verify(shown(authority, "access"), [])
    client.verify(shown(authority, "access"), [])
    assert shown(authority, "access").not_valid_after_utc - NOW == LEAF_LIFE


def test_the_gateway_is_called_by_this_machines_names_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.renew(NAMES, now=NOW)
    names = shown(authority, "gateway").extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert {"gateway", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_they_are_replaced_at_half_their_life_and_the_authority_stays(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.renew(NAMES, now=NOW)
    first = authority.file.read_bytes()

    assert authority.renew(NAMES, now=NOW + LEAF_LIFE * 0.4) == []
    assert authority.renew(NAMES, now=NOW + LEAF_LIFE * 0.6) == NAMES
    authority.key("access").unlink()
    assert authority.renew(NAMES, now=NOW + LEAF_LIFE * 0.6) == ["access"]
    authority.certificate("gateway").write_bytes(b"broken")
    assert authority.renew(NAMES, now=NOW + LEAF_LIFE * 0.6) == ["gateway"]
    assert authority.file.read_bytes() == first


def test_an_authority_that_ends_is_replaced_and_believed_until_then(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.renew(NAMES, now=NOW)
    late = NOW + AUTHORITY_LIFE - timedelta(days=30)

    assert authority.renew(NAMES, now=late) == NAMES
    believed = x509.load_pem_x509_certificates(authority.file.read_bytes())
    assert len(believed) == 2
    Store(believed)
    assert shown(authority, "access").not_valid_after_utc > late


def test_everything_is_its_users_alone(tmp_path: Path) -> None:
    plan = KernelPlan(data_dir=tmp_path / "data", tls=True)
    prepare(plan)
    files = [path for path in plan.data_dir.rglob("*") if path.is_file()]

    assert {path.name for path in files} >= {
        "ca.pem",
        "ca.key",
        "gateway.pem",
        "gateway.key",
        "scheduler.key",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((plan.data_dir / "tls").stat().st_mode) == 0o700


def test_without_tls_nothing_is_made_and_the_shells_variables_do_not_count(tmp_path: Path) -> None:
    plan = KernelPlan(data_dir=tmp_path / "data")
    prepare(plan)

    assert not (plan.data_dir / "tls").exists()
    assert all(each.environment.get("AIOS_TLS_CERT", "") == "" for each in plan.processes())
    assert plan.door.startswith("http://")
    assert KernelPlan(data_dir=tmp_path, tls=True).door.startswith("https://")
