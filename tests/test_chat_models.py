"""Any model behind one door: what goes wrong has a name, a limit and a fallback; nothing waits for ever."""

import asyncio
import logging
import sys

import pytest

from bot.chat_models import REST_AFTER, clip, open_model, read_json, size
from bot.errors import ModelFailed, SetupProblem
from bot.ports import ChatModel
from bot.settings import Settings
from tests.fake_llm import Fault, serving

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def model(url: str, **more: object) -> ChatModel:
    given = {"llm": "openai:fake", "llm_base_url": url, "llm_timeout": 5, "llm_retries": 0, **more}
    opened = open_model(Settings(_env_file=None, **given))  # type: ignore[call-arg, arg-type]
    assert opened is not None
    return opened


async def test_an_answer_comes_with_its_tokens_and_its_object() -> None:
    with serving('{"a": 1}') as fake:
        answer = await model(fake.url).answer("question", system="be kind", schema=SCHEMA)
    assert answer.data == {"a": 1} and (answer.input_tokens, answer.output_tokens) == (100, 20)
    assert answer.model == "openai:fake"
    assert fake.requests[0]["response_format"]["type"] == "json_schema" and fake.prompts[0] == "be kind\nquestion"


async def test_who_listens_hears_the_text_grow() -> None:
    heard: list[str] = []

    async def listen(text: str) -> None:
        heard.append(text)

    with serving("word " * 50) as fake:
        answer = await model(fake.url).answer("q", listen=listen)
    assert len(heard) > 3 and heard[-1] == answer.text and all(answer.text.startswith(item) for item in heard)


async def test_a_server_without_schemas_is_asked_more_simply_and_that_is_remembered() -> None:
    def says(request: dict) -> str | Fault:  # type: ignore[type-arg]
        return Fault(400, "response_format is not supported") if "response_format" in request else '{"a": 2}'

    with serving(says) as fake:
        opened = model(fake.url)
        for _ in range(2):
            assert (await opened.answer("q", schema=SCHEMA)).data == {"a": 2}
    assert [("response_format" in item) for item in fake.requests] == [True, True, False, False]
    assert "JSON schema" in fake.prompts[-1]


async def test_a_model_that_fixes_its_temperature_is_asked_without_one() -> None:
    with serving(lambda request: Fault(400, "temperature: unsupported value") if "temperature" in request else "fine") as fake:
        assert (await model(fake.url).answer("q")).text == "fine"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(401, "Incorrect API key provided: sk-abcdef123456"), "bad-key"),
        (Fault(429, "rate limit"), "rate-limit"),
        (Fault(500, "boom"), "server-error"),
        (Fault(404, "no such model"), "no-such-model"),
        (Fault(400, "This model's maximum context length is 4096 tokens"), "too-long"),
        (Fault(text=""), "empty"),
        (Fault(text="half a sen", cut=True), "unreachable"),
        (Fault(pause=1.5, text="late"), "slow"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_every_failure_has_a_name(fault: Fault, kind: str) -> None:
    with serving(fault) as fake:
        with pytest.raises(ModelFailed) as failed:
            await model(fake.url, llm_timeout=1).answer("q", schema=SCHEMA)
    assert failed.value.kind == kind and "sk-abcdef" not in str(failed.value)


async def test_nobody_at_the_address() -> None:
    with pytest.raises(ModelFailed, match="unreachable"):
        await model("http://127.0.0.1:9").answer("q")


async def test_a_hosted_model_without_a_key_fails_at_the_call_not_at_the_start() -> None:
    opened = open_model(Settings(_env_file=None, llm="openai:gpt"))  # type: ignore[call-arg]
    assert opened is not None
    with pytest.raises(ModelFailed, match="bad-key"):
        await opened.answer("q")


async def test_the_fallback_answers_when_the_first_model_cannot(caplog: pytest.LogCaptureFixture) -> None:
    with serving(lambda request: Fault(503, "down") if request["model"] == "first" else "from the second") as fake:
        answer = await model(fake.url, llm="openai:first", llm_fallbacks="openai:second").answer("q")
    assert (answer.text, answer.model) == ("from the second", "openai:second")
    assert "openai:first: server-error" in caplog.text


async def test_a_hiccup_is_tried_again() -> None:
    tries = iter([Fault(503, "hiccup"), "better"])
    with serving(lambda _: next(tries)) as fake:
        assert (await model(fake.url, llm_retries=1).answer("q")).text == "better"


async def test_a_model_that_keeps_failing_is_left_alone_for_a_while() -> None:
    now = [0.0]
    with serving(Fault(500, "boom")) as fake:
        opened = open_model(
            Settings(_env_file=None, llm="openai:x", llm_base_url=fake.url, llm_retries=0),  # type: ignore[call-arg]
            clock=lambda: now[0],
        )
        assert opened is not None
        kinds = []
        for _ in range(REST_AFTER + 1):
            with pytest.raises(ModelFailed) as failed:
                await opened.answer("q")
            kinds.append(failed.value.kind)
        assert kinds == ["server-error"] * REST_AFTER + ["resting"] and len(fake.requests) == REST_AFTER
        now[0] += 61
        with pytest.raises(ModelFailed, match="server-error"):
            await opened.answer("q")


async def test_no_more_calls_at_a_time_than_allowed() -> None:
    with serving(Fault(pause=0.2, text="x")) as fake:
        opened = model(fake.url, llm_concurrency=1)
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(opened.answer("q") for _ in range(3)))
    assert asyncio.get_running_loop().time() - started >= 0.6


async def test_a_flood_of_words_is_cut_off() -> None:
    with serving("字" * 50_000) as fake:
        assert len((await model(fake.url).answer("q")).text) <= 25_000


async def test_a_prompt_longer_than_the_window_keeps_its_short_lines() -> None:
    with serving("ok") as fake:
        await model(fake.url, llm_context=1024).answer("FIRST\n" + "很长" * 3000 + "\nLAST", max_tokens=200)
    assert "FIRST\n" in fake.prompts[0] and fake.prompts[0].endswith("LAST") and size(fake.prompts[0]) < 1024


def test_a_prompt_of_short_lines_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ModelFailed, match="too-long"):
        clip("short line\n" * 3000, 500)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('Sure! Here it is:\n{"a": {"b": 1}} Hope that helps.', {"a": {"b": 1}}),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        ('{"a": 1', None), ("I cannot help with that.", None), ("[1, 2]", None), ("{" * 5000, None),
    ],
)  # fmt: skip
def test_json_is_found_where_it_stands(text: str, found: object) -> None:
    assert read_json(text) == found


def test_a_missing_package_names_what_to_install() -> None:
    with pytest.raises(SetupProblem, match=r"pip install 'key-account-coach\[anthropic\]'"):
        open_model(Settings(_env_file=None, llm="anthropic:claude"))  # type: ignore[call-arg]
    with pytest.raises(SetupProblem, match="langchain_nosuch"):
        open_model(Settings(_env_file=None, llm="nosuch:model"))  # type: ignore[call-arg]
    with pytest.raises(SetupProblem, match="provider:model"):
        open_model(Settings(_env_file=None, llm="gpt"))  # type: ignore[call-arg]


def test_none_means_none() -> None:
    assert open_model(Settings(_env_file=None)) is None  # type: ignore[call-arg]
    assert open_model(Settings(_env_file=None, llm="none")) is None  # type: ignore[call-arg]


def test_opening_a_model_loads_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys\nfrom bot.settings import Settings\nfrom bot.chat_models import open_model\n"
        "open_model(Settings(llm='openai:x', _env_file=None))\n"
        "assert not {'langchain', 'langchain_openai', 'openai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_tracing_to_third_parties_is_forced_off(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGCHAIN_TRACING_V2", "true")
    with serving("x") as fake:
        await model(fake.url).answer("q")
    assert os.environ["LANGSMITH_TRACING"] == os.environ["LANGCHAIN_TRACING_V2"] == "false"


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("openai").setLevel(logging.ERROR)
