"""All use cases of the context manager in one place."""

from dataclasses import dataclass

from services.context.service.conversations import Conversations
from services.context.service.purging import Purging
from services.context.service.snapshots import Snapshots
from services.context.service.windows import Windows


@dataclass(frozen=True, slots=True)
class ContextService:
    """What the servicer calls."""

    conversations: Conversations
    windows: Windows
    snapshots: Snapshots
    purging: Purging
