"""The settings file of the AI service (`ai.toml`)."""

from typing import Literal

from orbitbot.foundation.settings import DatabaseSettings, ListenSettings, Settings


class ProviderSettings(Settings, frozen=True):
    """Which OpenAI-compatible service is asked, once there is a key for it.

    Attributes:
        base_url: up to and without `/chat/completions`.
        default_model: for clients that set none of their own.
        api_key_file: may be missing or empty: then the offline provider answers. It is read again
            whenever it changes.
        timeout_seconds: for one answer, retries and waiting between them included.
        max_retries: how often a failed call is repeated within that time.
        answer_limit_field: what the service calls the limit of an answer's tokens; OpenAI's own newer
            models want `max_completion_tokens`.
        app_url: sent as `HTTP-Referer` (OpenRouter shows it as the application's address).
        app_title: sent as `X-Title`, likewise.
    """

    default_model: str
    api_key_file: str
    base_url: str = "https://openrouter.ai/api/v1"
    timeout_seconds: float = 20.0
    max_retries: int = 1
    answer_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    app_url: str = ""
    app_title: str = "OrbitBot"


class AiSettings(Settings, frozen=True):
    """Everything that `orbitbot ai` needs."""

    listen: ListenSettings
    database: DatabaseSettings
    provider: ProviderSettings
    verify_key_file: str
