"""What is said about inference servers, and what a start says of them."""

from pathlib import Path

import pytest

from launcher import welcome
from launcher.backends import Backends, DoesNotAnswer, Serving, WrongBackends
from launcher.plan import KernelPlan

GPU = "http://gpu:8000"


def plan(backends: Backends) -> KernelPlan:
    return KernelPlan(data_dir=Path("/data"), backends=backends)


def environments(backends: Backends) -> dict[str, dict[str, str]]:
    return {each.name: dict(each.environment) for each in plan(backends).processes()}


def test_options_take_the_place_of_their_variables() -> None:
    environ = {
        "AIOS_OPENAI_ENDPOINTS": "http://a:1, http://b:2",
        "AIOS_OPENAI_MODEL": "small",
        "AIOS_OPENAI_API_KEY": "secret",
        "AIOS_OPENAI_WINDOW_TOKENS": "9000",
    }

    assert Backends.read(environ) == Backends(
        openai=("http://a:1", "http://b:2"), model="small", openai_key="secret", window=9000
    )
    said = Backends.read(environ, openai=[GPU], model="large", openai_key="other")
    assert (said.openai, said.model, said.openai_key) == ((GPU,), "large", "other")


def test_servers_of_both_kinds_may_be_attached_each_option_holding_one_or_several() -> None:
    said = Backends.read({}, openai=[GPU, "http://b:1/v1#m"], tgi=["http://t:80,https://u"])

    assert said.openai == (GPU, "http://b:1/v1#m")
    assert said.tgi == ("http://t:80", "https://u")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"openai": ["gpu:8000"]}, "no base URL"),
        ({"openai": ["ftp://gpu"]}, "no base URL"),
        ({"tgi": ["http://gpu:port"]}, "no base URL"),
        ({"openai": ["http://[::1"]}, "no base URL"),
        ({"model": "m"}, "--openai or --tgi"),
        ({"embedded_model": "m.gguf", "openai": [GPU]}, "stays out"),
        ({"openai": [GPU], "openai_key": "a\nb"}, "printable"),
    ],
)
def test_what_cannot_be_meant_is_refused(said: dict[str, object], why: str) -> None:
    with pytest.raises(WrongBackends, match=why):
        Backends.read({}, **said)  # type: ignore[arg-type]


def test_a_secret_in_a_url_is_refused_without_being_told() -> None:
    with pytest.raises(WrongBackends) as refused:
        Backends.read({}, openai=["http://me:hunter2@gpu:8000"])

    assert "hunter2" not in str(refused.value)


def test_the_embedded_engine_runs_only_where_no_server_is_attached() -> None:
    assert "tgi-local" in environments(Backends())
    for attached in (Backends(openai=(GPU,)), Backends(tgi=(GPU,))):
        assert "tgi-local" not in environments(attached)


def test_every_process_hears_of_the_attached_servers_and_of_no_others() -> None:
    """Processes inherit the shell's variables, so that what is not attached has to be said, too."""
    for environment in environments(Backends(openai=(GPU,), model="m")).values():
        assert environment["AIOS_OPENAI_ENDPOINTS"] == GPU
        assert environment["AIOS_TGI_ENDPOINTS"] == ""
        assert environment["AIOS_OPENAI_MODEL"] == "m"
    for environment in environments(Backends()).values():
        assert environment["AIOS_OPENAI_ENDPOINTS"] == ""
        assert environment["AIOS_TGI_ENDPOINTS"] == "http://127.0.0.1:7079"


def test_keys_reach_the_gateway_alone_and_are_never_shown() -> None:
    backends = Backends(openai=(GPU,), openai_key="hunter2", tgi_key="hunter3")
    found = environments(backends)

    assert found.pop("gateway")["AIOS_OPENAI_API_KEY"] == "hunter2"
    assert all("hunter" not in value for environment in found.values() for value in environment.values())
    assert "hunter" not in repr(plan(backends))


def test_another_model_for_the_embedded_engine_is_its_own_alone() -> None:
    found = environments(Backends(embedded_model="/models/a.gguf"))

    assert found["tgi-local"]["AIOS_MODEL"] == "/models/a.gguf"
    assert "AIOS_MODEL" not in found["gateway"]


def test_a_model_file_of_ones_own_gets_time_for_long_prompts_unless_a_time_is_set() -> None:
    name = "AIOS_TGI_TOKEN_TIMEOUT_SECONDS"
    given = Backends.read({}, embedded_model="a.gguf")

    assert given == Backends.read({"AIOS_MODEL": "a.gguf"})
    assert environments(given)["gateway"][name] == "600"
    for other in (Backends.read({}), Backends.read({name: "90"}, embedded_model="a.gguf")):
        assert name not in environments(other)["gateway"]


def test_a_start_says_which_model_answers_its_window_and_what_the_server_calls_itself() -> None:
    lines = welcome.models(plan(Backends(openai=(GPU,))), [Serving(GPU, "qwen", 32_768, "vllm")])

    assert lines == ["model qwen at http://gpu:8000 (calls itself 'vllm'), window 32,768 tokens"]


def test_a_server_that_does_not_name_itself_is_given_no_name() -> None:
    (line,) = welcome.models(plan(Backends(openai=(GPU,))), [Serving(GPU, "qwen", 32_768, "")])

    assert line == "model qwen at http://gpu:8000, window 32,768 tokens"


def test_a_window_that_nobody_tells_is_said_to_be_a_guess() -> None:
    (line,) = welcome.models(plan(Backends(openai=(GPU,))), [Serving(GPU, "qwen", 0, "")])

    assert "AIOS_OPENAI_WINDOW_TOKENS" in line


@pytest.mark.parametrize(
    ("backends", "cure"), [(Backends(), "--openai"), (Backends(tgi=(GPU,)), "let the server")]
)
def test_a_window_that_is_too_short_for_coding_clients_is_said_to_be(backends: Backends, cure: str) -> None:
    assert len(welcome.models(plan(backends), [Serving(GPU, "m", 16_384, "x")])) == 1
    lines = welcome.models(plan(backends), [Serving(GPU, "m", 2048, "x")])

    assert "context_length_exceeded" in lines[1]
    assert cure in lines[1]


def test_a_start_without_a_model_says_why_and_that_it_goes_on() -> None:
    found = [DoesNotAnswer("http://gpu:8000 does not answer")]

    assert not welcome.serves(found)
    assert welcome.models(plan(Backends(openai=(GPU,))), found) == [
        "no model: http://gpu:8000 does not answer; the kernel goes on asking"
    ]


def test_a_start_says_how_clients_find_the_door_with_what_differs_from_the_usual() -> None:
    usual = Path("/data")

    assert welcome.addresses(plan(Backends()), 1.0, usual)[1].endswith(
        'http://127.0.0.1:7090; their variables: eval "$(aios env AGENT)"'
    )
    other = KernelPlan(data_dir=Path("/my data"), base_port=18_000)
    assert welcome.addresses(other, 1.0, usual)[1].endswith(
        "http://127.0.0.1:18020; their variables: "
        "eval \"$(AIOS_ENDPOINT=127.0.0.1:18000 AIOS_DATA_DIR='/my data' aios env AGENT)\""
    )


def test_what_a_server_calls_its_model_cannot_steer_the_terminal() -> None:
    lines = welcome.models(plan(Backends(openai=(GPU,))), [Serving(GPU, "m\x1b[2J\nok", 0, "\x07")])

    assert not any(character in line for line in lines for character in "\x1b\x07\n")


def test_a_model_without_a_chat_template_is_named_as_such() -> None:
    lines = welcome.models(
        plan(Backends(tgi=(GPU,))), [Serving(GPU, "m", 32_768, "tgi-local", chat_template=False)]
    )

    assert "no chat template" in lines[1]
    assert "instruction-tuned" in lines[1]


def test_what_to_try_next_can_be_copied_and_finds_this_kernel(tmp_path: Path) -> None:
    here = plan(Backends())
    assert not any("export" in each for each in welcome.next_steps(here, here.data_dir))

    lines = welcome.next_steps(here, tmp_path)
    assert f"  export AIOS_DATA_DIR={here.data_dir}" in lines
    assert all(each.startswith("  aios ") for each in lines[2:])
