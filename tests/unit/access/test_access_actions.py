"""The table of actions, the schema made from it, and the kernel's own rules."""

import importlib
import pkgutil

import cedarpy
import pytest

import aios.api
from aios.api.common.v1 import options_pb2
from services.access.adapters.cedar import BASE_TEXT, base_policies, schema_text
from services.access.core.actions import ACTIONS, Scope
from services.chassis.rpc import methods
from services.chassis.rpc.methods import Audience, Method

APART = "/aios.api.sandbox."
"""Methods of a process that never asks access: it knows its one caller by a key."""


def all_methods() -> list[Method]:
    """Return every method that access decides about, of every service that has generated stubs."""
    found: dict[str, Method] = {}
    for module in pkgutil.walk_packages(aios.api.__path__, "aios.api."):
        if module.name.endswith("_pb2"):
            descriptor = importlib.import_module(module.name).DESCRIPTOR
            found |= methods.table(descriptor)
    return [method for method in found.values() if not method.path.startswith(APART)]


METHODS = all_methods()


def test_every_permission_of_every_proto_is_a_known_action() -> None:
    named = {method.permission for method in METHODS if method.permission}

    assert named - set(ACTIONS) == set()


def test_methods_for_the_kernel_alone_have_permissions_for_processes_alone() -> None:
    kernel = {method.permission for method in METHODS if method.audience is Audience.KERNEL}
    others = {method.permission for method in METHODS if method.audience is Audience.AGENTS}

    assert {action for action in ACTIONS if Scope.SERVICE in ACTIONS[action]} == kernel
    assert kernel & others == set()


def test_every_action_has_a_reason_to_be_permitted() -> None:
    assert all(ACTIONS.values())


def test_the_kernel_rules_fit_the_schema() -> None:
    result = cedarpy.validate_policies(BASE_TEXT, schema_text())

    assert [str(error) for error in result.errors] == []


def test_each_kernel_rule_is_listed_by_its_id() -> None:
    rules = base_policies()

    assert [rule for rule, _ in rules][:2] == ["tenant-wall", "inactive-agent"]
    assert all(f'@id("{rule}")' in text for rule, text in rules)


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_the_schema_knows_the_action(action: str) -> None:
    policy = f'@id("p") permit(principal, action == Action::"{action}", resource);'

    assert cedarpy.validate_policies(policy, schema_text()).validation_passed


def test_the_option_that_names_permissions_is_the_one_the_protos_use() -> None:
    assert options_pb2.DESCRIPTOR.extensions_by_name["syscall"].number == 50700
