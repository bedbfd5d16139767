"""Typed settings, read once from the environment and `.env`. Every key stands in `.env.example`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.errors import SetupProblem

DATABASES = ("sqlite", "postgresql")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="COACH_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    data_dir: Path = Path(".coach")
    database_url: SecretStr | None = None
    chroma_url: str | None = None
    index_above: int = Field(50_000, ge=0)
    embedding_model: str = "bundled"
    embedding_model_zh: str | None = None
    embedding_model_en: str | None = None
    llm: str | None = None
    llm_base_url: str | None = None
    llm_api_key: SecretStr | None = None
    llm_proxy: str | None = None
    llm_fallbacks: str = ""
    llm_timeout: float = Field(30.0, gt=0)
    llm_retries: int = Field(1, ge=0)
    llm_concurrency: int = Field(4, ge=1)
    llm_context: int = Field(4096, ge=1024)
    llm_daily_tokens: int = Field(200_000, ge=0)
    llm_price_input: float = Field(0.0, ge=0)
    llm_price_output: float = Field(0.0, ge=0)
    llm_mask: bool = False
    telegram_token: SecretStr | None = None
    telegram_base_url: str | None = None
    telegram_base_file_url: str | None = None
    telegram_proxy: str | None = None
    telegram_webhook_url: str | None = None
    telegram_webhook_secret: SecretStr | None = None
    listen: str = "127.0.0.1:8080"
    status_listen: str | None = None
    admins: str = ""
    zone: str = "Asia/Shanghai"
    language: str | None = None
    messages_per_minute: int = Field(30, ge=1)
    uploads_per_day: int = Field(50, ge=1)
    upload_megabytes: int = Field(20, ge=1)
    keep_history_days: int = Field(365, ge=1)
    log_level: str = "INFO"
    log_format: str = "text"
    playbook_dir: Path | None = None

    @field_validator("database_url", mode="before")
    @classmethod
    def _known_database(cls, value: object) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str) and text and text.split(":")[0].split("+")[0] not in DATABASES:
            raise ValueError("not a database URL that we know; try sqlite:///coach.db or postgresql://user@host/name")
        return value or None

    @field_validator("listen", "status_listen")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is None:
            return None
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("not host:port; try 127.0.0.1:8080")
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("not a level; try DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @field_validator("log_format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in ("text", "json"):
            raise ValueError("not a format; try text or json")
        return value

    @property
    def admin_ids(self) -> frozenset[str]:
        return frozenset(part.strip() for part in self.admins.split(",") if part.strip())


def read_settings(data: Path | None = None, **overrides: object) -> Settings:
    """Settings from the environment; `data` (from --data) overrides data directory, database and Chroma settings."""
    values: dict[str, object] = dict(overrides)
    if data is not None:
        values |= {"data_dir": data, "database_url": None, "chroma_url": None}
    try:
        return Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SetupProblem("\n".join(_cure(item) for item in error.errors())) from None


def _cure(item: object) -> str:
    """One line per wrong key: name, reason, where to look. Values of secrets are never shown."""
    assert isinstance(item, dict)
    key = "COACH_" + "_".join(str(part) for part in item["loc"]).upper()
    secret = any(word in key for word in ("TOKEN", "KEY", "SECRET", "DATABASE"))
    value = "(hidden)" if secret else repr(item.get("input"))
    return f"{key}={value}: {item['msg'].removeprefix('Value error, ')} (see .env.example)"
