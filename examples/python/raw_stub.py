"""A client without the SDK: generated stubs register an agent and stream a chat through the gateway.

Run it beside `aios up`. AIOS_ENDPOINT, AIOS_DATA_DIR and AIOS_TOKEN are as for the SDK.
"""

import os
import sys
from pathlib import Path

import grpc

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc


def main() -> None:
    """Register an agent, ask, print the answer as it comes."""
    data = Path(os.environ.get("AIOS_DATA_DIR", "~/.aios")).expanduser()
    admin = os.environ.get("AIOS_TOKEN") or (data / "admin.token").read_text().strip()
    with grpc.insecure_channel(os.environ.get("AIOS_ENDPOINT", "127.0.0.1:7070")) as channel:
        registered = agent_pb2_grpc.AgentServiceStub(channel).RegisterAgent(
            agent_pb2.RegisterAgentRequest(kind="example"),
            metadata=(("authorization", f"Bearer {admin}"),),
            timeout=10,
        )
        request = inference_pb2.GenerateRequest(
            messages=[{"role": "ROLE_USER", "content": " ".join(sys.argv[1:]) or "Say hello."}], max_tokens=64
        )
        events = inference_pb2_grpc.InferenceServiceStub(channel).StreamGenerate(
            inference_pb2.StreamGenerateRequest(generation=request),
            metadata=(("authorization", f"Bearer {registered.credential.token}"),),
            timeout=120,
        )
        for response in events:
            print(response.event.delta.text, end="", flush=True)
        usage = response.event.finished.usage
        print(f"\n{registered.agent.name}: {usage.prompt_tokens} + {usage.completion_tokens} tokens")


if __name__ == "__main__":
    main()
