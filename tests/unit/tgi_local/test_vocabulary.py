"""Reading the tokens of a GGUF file."""

from dataclasses import replace
from pathlib import Path

import gguf
import pytest

from services.tgi_local.adapters.gguf_header import UnreadableModel
from services.tgi_local.adapters.vocabulary import read_vocabulary
from tests.fakes.gguf_model import tokens, write_random_model


def write_sentence_piece(path: Path) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "</s>", "<0xE2>", "\u2581hello", "é"])
    writer.add_token_types([2, 3, 6, 1, 1])
    writer.add_token_scores([0.0] * 5)
    writer.add_eos_token_id(1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def test_byte_level_tokens_are_their_bytes(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(write_random_model(tmp_path / "m.gguf"))

    assert [vocabulary.pieces[i] for i in range(256)] == [bytes([i]) for i in range(256)]
    assert vocabulary.pieces[260] == b" the"
    assert len(vocabulary) == len(tokens())
    assert set(vocabulary.special) == {263, 264, 265}
    assert (vocabulary.eos, vocabulary.name) == (264, "random")
    assert vocabulary.pieces[264] == b"<|im_end|>"


def test_sentence_pieces_are_spaces_and_bytes(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(write_sentence_piece(tmp_path / "m.gguf"))

    assert vocabulary.pieces == (b"<unk>", b"</s>", b"\xe2", b" hello", "é".encode())
    assert (set(vocabulary.special), vocabulary.eos) == ({1}, 1)


def test_special_tokens_are_not_text(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(write_random_model(tmp_path / "m.gguf"))

    assert vocabulary.text([104, 105, 264]) == "hi"
    assert b"<|im_end|>" not in vocabulary.ids_by_bytes
    assert vocabulary.ids_by_bytes[b"th"] == (256,)
    assert vocabulary.may_end(264)
    assert not vocabulary.may_end(ord(">"))


def test_the_longest_token_is_known_where_no_byte_of_a_text_is_lost(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(write_random_model(tmp_path / "m.gguf"))
    incomplete = read_vocabulary(write_sentence_piece(tmp_path / "s.gguf"))

    assert vocabulary.longest == len(b"<|im_start|>")
    assert incomplete.longest == 0
    assert replace(vocabulary, shrinks=True).longest == 0


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"not a model at all, but long enough", b"GGUF" + b"\x03\0\0\0" * 40]
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)

    with pytest.raises(UnreadableModel):
        read_vocabulary(path)


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "m.gguf")
    path.write_bytes(path.read_bytes()[:900])

    with pytest.raises(UnreadableModel, match="damaged"):
        read_vocabulary(path)


def test_an_unknown_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_tokenizer_model("bert")
    writer.add_token_list(["a"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    with pytest.raises(UnreadableModel, match="bert"):
        read_vocabulary(path)
