"""METRICS.md lists exactly the metrics that the processes register."""

from enum import Enum

import pytest

from services.access.model.rules import Reason
from services.chassis.dispatch.scheduling import QueueOutcome, SchedulingClass
from services.scheduler.core.events import TimelineKind
from tests.deploy.manifests import KERNEL, ROOT
from tests.deploy.monitoring import SECTIONS, documented, label_values, measured, units


def test_every_process_has_its_section() -> None:
    assert {*KERNEL, "sandbox", "tgi-local"} <= set(documented())
    assert set(documented()) == set(measured())


@pytest.mark.parametrize("section", [*SECTIONS, "tgi-local"])
def test_the_document_and_the_registry_agree(section: str) -> None:
    assert documented()[section] == measured()[section]


def test_no_process_measures_unseen() -> None:
    files = {path.parent.name for path in [*ROOT.glob("services/*/metrics.py"), ROOT / "gateway/metrics.py"]}

    assert files == {*KERNEL, "sandbox", "tgi_local"}


def test_units_fit_the_names() -> None:
    wrong = [
        name
        for name, unit in units().items()
        if ("_seconds" in name and unit != "seconds") or ("_bytes" in name and unit != "bytes") or not unit
    ]

    assert wrong == ["aios_build_info"]


@pytest.mark.parametrize(
    ("label", "values"),
    [
        ("scheduling_class", SchedulingClass),
        ("outcome of the scheduler", QueueOutcome),
        ("kind", TimelineKind),
        ("reason of a decision", Reason),
    ],
)
def test_the_values_of_labels_are_those_of_the_code(label: str, values: type[Enum]) -> None:
    assert label_values()[label] == {each.value for each in values}
