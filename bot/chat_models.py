"""Any language model behind one door: LangChain's providers, with time-outs, fallbacks and limits.

Nothing here decides what is said. A call ends in a `ModelAnswer` or in `ModelFailed` with a reason for the log.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bot.errors import ModelFailed, SetupProblem
from bot.ports import ChatModel, Listen, ModelAnswer
from bot.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessageChunk

log = logging.getLogger(__name__)

LONGEST = 24_000  # characters of an answer that are read; a model that goes on is cut off
REST_AFTER, REST = 3, 60.0  # failures in a row after which a model is left alone, and for how many seconds
PACKAGES = {  # provider → its LangChain package; what is not listed is looked for as langchain_<provider>
    "openai": "langchain_openai", "azure_openai": "langchain_openai", "google_genai": "langchain_google_genai",
    "google_vertexai": "langchain_google_vertexai", "bedrock": "langchain_aws", "mistralai": "langchain_mistralai",
}  # fmt: skip
EXTRAS = {"anthropic": "anthropic", "ollama": "ollama", "deepseek": "deepseek"}
PROXIES = {"openai": "openai_proxy", "deepseek": "openai_proxy", "azure_openai": "openai_proxy", "anthropic": "anthropic_proxy"}
LIKE_OPENAI = frozenset({"openai", "azure_openai", "deepseek", "openrouter", "xai", "groq", "together", "fireworks"})

Form = Literal["json_schema", "json_object", "plain"]


def open_model(settings: Settings, clock: Callable[[], float] = time.monotonic) -> ChatModel | None:
    """The configured model with its fallbacks; None without one. A missing package or odd name is a `SetupProblem`.

    Nothing is imported or connected yet: that happens at the first answer.
    """
    if not settings.llm or settings.llm == "none":
        return None
    names = [settings.llm, *(part.strip() for part in settings.llm_fallbacks.split(",") if part.strip())]
    links = [Link(*_provider(name), settings, clock) for name in names]
    return Chain(links, asyncio.Semaphore(settings.llm_concurrency))


def _provider(name: str) -> tuple[str, str]:
    """`provider:model` in two; both must be there, and the provider's package installed."""
    provider, colon, model = name.partition(":")
    if not colon or not provider or not model:
        raise SetupProblem(f"COACH_LLM={name!r} names no provider; write provider:model, e.g. openai:gpt-5-mini or ollama:qwen3.")
    package = PACKAGES.get(provider, f"langchain_{provider}")
    if importlib.util.find_spec(package) is None:
        wanted = f"key-account-coach[{EXTRAS[provider]}]" if provider in EXTRAS else package.replace("_", "-")
        raise SetupProblem(f"COACH_LLM={name!r} needs the package {package}, which is not installed: pip install '{wanted}'")
    return provider, model


@dataclass
class Chain:
    """The configured model, then its fallbacks: the first answer counts."""

    links: Sequence[Link]
    gate: asyncio.Semaphore

    @property
    def name(self) -> str:
        return self.links[0].name

    async def answer(
        self,
        prompt: str,
        *,
        system: str = "",
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 600,
        listen: Listen | None = None,
    ) -> ModelAnswer:
        failures: list[ModelFailed] = []
        for link in self.links:
            try:
                await link.open()  # importing a library takes a second or two once: that is not the model's slowness
                async with asyncio.timeout(link.settings.llm_timeout), self.gate:
                    return await link.answer(prompt, system, schema, max_tokens, listen)
            except TimeoutError:
                failures.append(link.failed("slow", f"no whole answer within {link.settings.llm_timeout:g} s"))
            except ModelFailed as error:
                failures.append(error)
            log.warning("model %s: %s", link.name, failures[-1])
        raise failures[0] if len(failures) == 1 else ModelFailed(failures[0].kind, "; ".join(map(str, failures)))


@dataclass
class Link:
    """One model of one provider."""

    provider: str
    model: str
    settings: Settings
    clock: Callable[[], float]
    form: Form = "json_schema"
    fixed_temperature: bool = True
    failures: int = 0
    rests_until: float = 0.0
    _opened: list[BaseChatModel] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.provider not in LIKE_OPENAI:
            self.form = "plain"

    @property
    def name(self) -> str:
        return f"{self.provider}:{self.model}"

    async def answer(
        self, prompt: str, system: str, schema: Mapping[str, Any] | None, max_tokens: int, listen: Listen | None
    ) -> ModelAnswer:
        if self.clock() < self.rests_until:
            raise ModelFailed("resting", f"failed {self.failures} times in a row, is left alone for {REST:g} s")
        started = self.clock()
        try:
            text, usage = await self._ask(prompt, system, schema, max_tokens, listen)
        except ModelFailed:
            raise
        except Exception as error:  # every provider has its own exceptions; none may reach a person
            raise self._wrapped(error) from None
        if not text.strip():
            raise self.failed("empty", "the answer has no text")
        self.failures = 0
        data = read_json(text) if schema is not None else None
        tokens = usage or {"input_tokens": size(system + prompt), "output_tokens": size(text)}
        return ModelAnswer(text, data, self.name, tokens["input_tokens"], tokens["output_tokens"], self.clock() - started)

    def _wrapped(self, error: Exception) -> ModelFailed:
        return self.failed(kind_of(error), _brief(error))

    def failed(self, kind: str, why: str) -> ModelFailed:
        """Count a failure; after some in a row the model rests, so that nobody waits for it in vain."""
        self.failures += 1
        if self.failures >= REST_AFTER:
            self.rests_until = self.clock() + REST
        return ModelFailed(kind, why)

    async def _ask(
        self, prompt: str, system: str, schema: Mapping[str, Any] | None, max_tokens: int, listen: Listen | None
    ) -> tuple[str, dict[str, int]]:
        """Ask; a server that refuses a form of JSON or a temperature is asked more simply, and that is remembered."""
        room = self.settings.llm_context - max_tokens - size(system) - 200
        prompt = clip(prompt, max(room, 200))
        while True:
            try:
                return await self._once(prompt, system, schema, max_tokens, listen)
            except Exception as error:
                if not self._simpler(error, schema is not None):
                    raise

    def _simpler(self, error: Exception, structured: bool) -> bool:
        if getattr(error, "status_code", None) not in (400, 404, 415, 422, 501):
            return False
        if "temperature" in str(error) and self.fixed_temperature:
            self.fixed_temperature = False
            self._opened.clear()
            return True
        if not structured or self.form == "plain" or kind_of(error) == "too-long":
            return False
        self.form = "json_object" if self.form == "json_schema" else "plain"
        return True

    async def _once(
        self, prompt: str, system: str, schema: Mapping[str, Any] | None, max_tokens: int, listen: Listen | None
    ) -> tuple[str, dict[str, int]]:
        model = await self.open()
        options = self._options(schema, max_tokens)
        if schema is not None and self.form != "json_schema":
            prompt += "\n\nAnswer with one JSON object of this JSON schema and nothing else:\n" + json.dumps(schema, ensure_ascii=False)
        messages = [("system", system), ("human", prompt)] if system else [("human", prompt)]
        return await _collect(model.bind(**options).astream(messages), listen)  # type: ignore[arg-type]

    def _options(self, schema: Mapping[str, Any] | None, max_tokens: int) -> dict[str, Any]:
        if self.provider == "ollama":
            return {"num_predict": max_tokens, **({"format": dict(schema)} if schema else {})}
        options: dict[str, Any] = {"max_tokens": max_tokens}
        if schema is not None and self.form == "json_schema":
            options["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}
        elif schema is not None and self.form == "json_object":
            options["response_format"] = {"type": "json_object"}
        return options

    async def open(self) -> BaseChatModel:
        if not self._opened:
            try:
                self._opened.append(await asyncio.to_thread(self._build))
            except Exception as error:  # a missing key, an option that the provider does not know
                raise self._wrapped(error) from None
        return self._opened[0]

    def _build(self) -> BaseChatModel:
        os.environ |= {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false"}  # nothing is traced to third parties
        from langchain.chat_models import init_chat_model

        settings = self.settings
        options: dict[str, Any] = {"max_retries": settings.llm_retries, "timeout": settings.llm_timeout}
        if self.fixed_temperature:
            options["temperature"] = 0
        if self.provider in LIKE_OPENAI:
            options["stream_usage"] = True  # without it a stream from a server of one's own reports no tokens
        if settings.llm_base_url:
            options["base_url"] = settings.llm_base_url
        if settings.llm_api_key:
            options["api_key"] = settings.llm_api_key.get_secret_value()
        elif settings.llm_base_url and self.provider == "openai":
            options["api_key"] = "none"  # a local server asks for no key, the library does
        if settings.llm_proxy:
            options |= self._proxy(settings.llm_proxy)
        if self.provider == "ollama":
            for key in ("max_retries", "timeout"):
                options.pop(key)
        built: BaseChatModel = init_chat_model(self.model, model_provider=self.provider, **options)
        return built

    def _proxy(self, url: str) -> dict[str, Any]:
        if self.provider == "ollama":
            return {"client_kwargs": {"proxy": url}}
        return {PROXIES[self.provider]: url} if self.provider in PROXIES else {}


async def _collect(chunks: AsyncIterator[AIMessageChunk], listen: Listen | None) -> tuple[str, dict[str, int]]:
    """The whole text of a stream and its token counts; who listens hears the text so far."""
    text, usage = "", {"input_tokens": 0, "output_tokens": 0}
    async for chunk in chunks:
        if chunk.usage_metadata:
            for key in usage:
                usage[key] += chunk.usage_metadata[key]  # type: ignore[literal-required]
        text += str(chunk.text)
        if len(text) > LONGEST:
            text = text[:LONGEST]
            break
        if listen is not None and chunk.text:
            await listen(text)
    return text, usage if any(usage.values()) else {}


KINDS = (  # words in a provider's error → what we call it, most specific first
    ("too-long", ("context length", "context_length", "context size", "context window", "maximum context", "too many tokens", "exceed")),
    ("bad-key", ("api key", "api_key", "authentication", "unauthorized", "permission", "credentials")),
    ("rate-limit", ("rate limit", "ratelimit", "too many requests", "overloaded", "quota")),
    ("slow", ("timeout", "timed out")),
    ("unreachable", ("connection", "connect", "refused", "unreachable", "name or service", "disconnected", "incomplete")),
)
STATUS = {401: "bad-key", 403: "bad-key", 404: "no-such-model", 413: "too-long", 429: "rate-limit"}


def kind_of(error: Exception) -> str:
    """One word for a provider's error: by status, else by its words."""
    words = f"{type(error).__name__} {error}".lower()
    status = getattr(error, "status_code", None)
    if status in STATUS:
        return STATUS[status]
    if isinstance(status, int) and status >= 500:
        return "server-error"
    return next((kind for kind, marks in KINDS if any(mark in words for mark in marks)), "failed")


def _brief(error: Exception) -> str:
    """The error for the log: its type and beginning; keys are not repeated."""
    return re.sub(r"\b(sk|key|Bearer)[-_ ][\w.-]{6,}", "(hidden)", f"{type(error).__name__}: {error}")[:300]


def read_json(text: str) -> dict[str, Any] | None:
    """The JSON object in an answer: alone, fenced, or with prose around it. None if there is none."""
    fenced = re.search(r"```(?:json)?\s*(\{.*?\})\s*```", text, re.DOTALL)
    for candidate in (text.strip(), fenced.group(1) if fenced else ""):
        if isinstance(found := _decoded(candidate), dict):
            return found
    for start in [match.start() for match in re.finditer(r"\{", text)][:20]:
        if isinstance(found := _decoded(text[start:], whole=False), dict):
            return found
    return None


def _decoded(text: str, *, whole: bool = True) -> Any:
    decoder = json.JSONDecoder(strict=False)
    try:
        return decoder.decode(text) if whole else decoder.raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def size(text: str) -> int:
    """About how many tokens a text has, rather too many than too few."""
    wide = sum(1 for char in text if char > "\u2e7f")
    return wide + (len(text) - wide) // 3 + 1


def clip(prompt: str, tokens: int) -> str:
    """The prompt with its longest lines shortened until it fits. Short lines (instructions, fences) stay whole."""
    lines = prompt.split("\n")
    while size("\n".join(lines)) > tokens:
        longest = max(range(len(lines)), key=lambda i: len(lines[i]))
        if len(lines[longest]) < 80:
            raise ModelFailed("too-long", f"the prompt has more than {tokens} tokens and cannot be shortened")
        lines[longest] = lines[longest][: len(lines[longest]) * 2 // 3].rstrip() + " …"
    return "\n".join(lines)
