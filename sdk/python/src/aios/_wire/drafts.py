"""Drafts of tools on the wire."""

import json

from aios._wire.records import record
from aios.api.tool.v1 import making_pb2 as pb
from aios.types.drafts import DraftInfo, Example, VersionInfo


def draft_name(draft: str, agent: str = "me") -> str:
    """Return the resource name of a draft given by id, or by name."""
    if draft.startswith("agents/"):
        return draft
    return f"agents/{agent.removeprefix('agents/')}/drafts/{draft}"


def example(given: Example) -> pb.ToolExample:
    """Return an example as protobuf."""
    arguments = json.dumps(dict(given.arguments))
    if given.schema is not None:
        return pb.ToolExample(arguments_json=arguments, result_schema_json=json.dumps(dict(given.schema)))
    return pb.ToolExample(arguments_json=arguments, result_json=json.dumps(given.result))


def draft(message: pb.ToolDraft) -> DraftInfo:
    """Return a draft from protobuf."""
    return record(DraftInfo, message, source=message.python.source)


def version(message: pb.ToolVersion) -> VersionInfo:
    """Return a version from protobuf."""
    return record(VersionInfo, message, draft=draft(message.draft))
