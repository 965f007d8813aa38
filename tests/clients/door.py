"""The door as a client sees it: an address and a key."""

from dataclasses import dataclass, field

from aios.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Door:
    """An agent of its own, and what a client needs to act as that agent."""

    url: str
    """Base address; an OpenAI client's has `/v1` behind it."""
    key: str = field(repr=False)
    agent: str
    """The agent's resource name."""
    kernel: Kernel = field(repr=False)
    """The kernel as the agent sees it over gRPC."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make a stock client come here."""
        return {
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": self.key,
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": self.key,
        }
