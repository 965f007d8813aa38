"""What the agents of `make demo` ask the model: phrasings, and the tools that they offer it. Pure data.

Both the demo and the training read it, so that the demo asks within what the model was trained for.
"""

from collections.abc import Mapping
from typing import Final

ASKED: Final[Mapping[str, tuple[str, ...]]] = {
    "arithmetic": ("What is {e}?", "Calculate {e}.", "Work out {e}."),
    "remember": ("Remember that {k} is {v}.", "Note that {k} is {v}.", "Store {v} as {k}."),
    "recall": ("What did you note under {k}?", "What does the note {k} say?", "Recall the note {k}."),
    "recall_agent": ("Recall the note {k} of {g}.", "What does the note {k} of {g} say?"),
    "write_file": (
        "Write {v} to {p}.",
        "Write {v} to the file {p}.",
        "Create the file {p} with the content {v}.",
    ),
    "read_file": ("What does {p} say?", "Read the file {p}.", "Open the file {p}."),
    "search": ("Search for {q}.", "Find files about {q}.", "Which files mention {q}?"),
    "convert": ("Convert {n} {x} to {y}.", "How many {y} is {n} {x}?", "Express {n} {x} in {y}."),
    "calc_remember": ("Work out {e} and remember it as {k}.", "Compute {e} and note the result under {k}."),
    "calc_write": (
        "Calculate {e} and write the result to {p}.",
        "Compute {e} and save the result to {p}.",
    ),
    "recall_add": ("Add the notes {k} and {j}.", "What is the sum of the notes {k} and {j}?"),
}
"""Phrasings by kind. Placeholders: {e} expression, {k} {j} keys, {v} value, {p} path, {q} search words,
{g} agent, {n} number, {x} {y} units."""

SYSTEM: Final = "You are a helpful agent."
TOOLS: Final = (
    ("calculator", "Evaluate an arithmetic expression."),
    ("convert_units", "Convert a value from one unit to another."),
    ("search_files", "Search the agent's files."),
    ("remember", "Store a note."),
    ("recall", "Read a note of this or another agent."),
    ("write_file", "Write text to a file."),
    ("read_file", "Return the content of a file."),
)
"""Names and descriptions, in the order in which the demo offers them."""
