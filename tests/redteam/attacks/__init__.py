"""The attacks, by what they are made of."""

from tests.redteam.attacks import bombs, door, drafts, identity, inference, room, strangers, streams, texts

ALL = (texts, inference, room, streams, identity, bombs, door, strangers, drafts)
