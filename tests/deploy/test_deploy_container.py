"""The Containerfile copies what exists, installs what is pinned, and runs as nobody in particular."""

import re
import shlex

from tests.deploy.manifests import OVERLAYS, ROOT, SANDBOX, workloads

CONTAINERFILE = (ROOT / "deploy/container/Containerfile").read_text()
IGNORED = (ROOT / "deploy/container/.containerignore").read_text()


def instructions() -> list[tuple[str, str]]:
    """Return the instructions as pairs of keyword and rest, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", CONTAINERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    pairs = (line.strip().partition(" ") for line in text.splitlines() if line.strip())
    return [(keyword, rest.strip()) for keyword, _, rest in pairs]


def copied() -> list[str]:
    """Return the sources that are copied from the build context."""
    copies = [shlex.split(rest) for keyword, rest in instructions() if keyword == "COPY"]
    return [source for words in copies if not words[0].startswith("--from") for source in words[:-1]]


def test_every_copied_source_exists() -> None:
    assert copied()
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_the_context_holds_exactly_what_is_copied() -> None:
    kept = [line[1:] for line in IGNORED.splitlines() if line.startswith("!")]

    assert "*" in IGNORED.splitlines()
    assert sorted(kept) == sorted(copied())


def test_every_process_of_the_manifests_is_in_the_image() -> None:
    modules = {
        each.container["args"][0]
        for overlay in OVERLAYS
        for each in workloads(f"overlays/{overlay}")
        if each.container["image"].startswith("aios:")
    }

    assert {module.partition(".")[0] for module in modules} <= set(copied())
    assert ("ENTRYPOINT", '["python", "-m"]') in instructions()


def test_packages_are_installed_by_the_lock() -> None:
    installs = [rest for keyword, rest in instructions() if keyword == "RUN" and "pip install" in rest]

    assert installs
    assert all("--constraint requirements.lock" in rest for rest in installs)


def test_the_image_runs_as_the_user_of_the_manifests() -> None:
    users = {
        f"{each.pod['securityContext']['runAsUser']}:{each.pod['securityContext']['runAsGroup']}"
        for overlay in OVERLAYS
        for each in workloads(f"overlays/{overlay}")
        if each.name != SANDBOX  # the code of tools runs as somebody else
    }

    assert users == {next(rest for keyword, rest in instructions() if keyword == "USER")}


def test_the_data_directory_is_where_the_volumes_are() -> None:
    mounts = {
        mount["mountPath"]
        for each in workloads("overlays/laptop")
        for mount in each.container["volumeMounts"]
        if mount["name"] == "data"
    }

    assert mounts == {"/var/lib/aios"}
    assert "AIOS_DATA_DIR=/var/lib/aios" in CONTAINERFILE


def test_the_image_has_what_isolates_the_code_of_tools_and_anybody_may_read_it() -> None:
    (installs,) = [rest for keyword, rest in instructions() if keyword == "RUN" and "apt-get" in rest]

    assert "bubblewrap" in shlex.split(installs)
    assert not [rest for keyword, rest in instructions() if keyword == "COPY" and "--chmod" in rest]
