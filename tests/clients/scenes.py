"""What the model does for the tours of the vendors' SDKs, by the words that they send."""

from typing import Final

from tests.fakes.scripted import GREETING, Call, Rule

LONG: Final = " ".join(f"word{n}" for n in range(60))

SCENES: Final = (
    Rule(has="ADDTASK", outputs=0, calls=(Call("add", {"a": 2, "b": 3}),)),
    Rule(has="ADDTASK", text="five"),
    Rule(
        has="TWOCALLS",
        outputs=0,
        text="Let me see.",
        calls=(Call("add", {"a": 2, "b": 3}), Call("add", {"a": 4, "b": 5})),
    ),
    Rule(has="TWOCALLS", text="five and nine"),
    Rule(has="LONGTEXT", text=LONG),
    Rule(has="SLOWTEXT", text=LONG, behaviour={"token_delay": 0.5}),
    Rule(has="WAITTASK", text="at last", behaviour={"latency": 4.0}),
    Rule(has="JSONTASK", text='{"city": "Paris", "days": 3}'),
    Rule(has="TRIPTASK", outputs=0, text='{"tool_calls": [{"name": "add", "arguments": {"a": 2, "b": 3}}]}'),
    Rule(has="TRIPTASK", text='{"city": "Paris", "days": 5}'),
    Rule(has="WRONGTASK", text="no JSON at all"),
    Rule(has="STOPTASK", text="one two three"),
    Rule(has="hello", text=GREETING),
)
