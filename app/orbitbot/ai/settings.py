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
        fallback_models: for clients that set none of their own, in order.
        timeout_seconds: for one answer; retries, other models and waiting between them included.
        first_token_seconds: a model that has said nothing by then is given up.
        stall_seconds: … and one that has said nothing more for as long.
        max_retries: how often a failed call of one model is repeated within that time.
        breaker_failures: after so many in a row a model is left alone for half a minute.
        assumed_prompt_usd_per_million: price of a model of which the service's list says nothing (or
            which was not read yet): money is set aside by it. 0 for a service that costs nothing.
        assumed_completion_usd_per_million: likewise.
        answer_limit_field: what the service calls the limit of an answer's tokens; OpenAI's own newer
            models want `max_completion_tokens`.
        app_url: sent as `HTTP-Referer` (OpenRouter shows it as the application's address).
        app_title: sent as `X-Title`, likewise.
    """

    default_model: str
    api_key_file: str
    base_url: str = "https://openrouter.ai/api/v1"
    fallback_models: tuple[str, ...] = ()
    timeout_seconds: float = 20.0
    first_token_seconds: float = 9.0
    stall_seconds: float = 6.0
    max_retries: int = 2
    breaker_failures: int = 5
    assumed_prompt_usd_per_million: float = 15.0
    assumed_completion_usd_per_million: float = 75.0
    answer_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    app_url: str = ""
    app_title: str = "OrbitBot"


class BudgetSettings(Settings, frozen=True):
    """What a client that sets no budget of its own may spend of the operator's money, in USD."""

    day_usd: float = 5.0
    month_usd: float = 50.0


class PluginSettings(Settings, frozen=True):
    """How long a hook of a plugin may take, and when a plugin that fails is left alone."""

    hook_seconds: float = 2.0
    tool_seconds: float = 5.0
    suspend_failures: int = 5  # in a row
    suspend_seconds: float = 60.0


class AiSettings(Settings, frozen=True):
    """Everything that `orbitbot ai` needs.

    Attributes:
        sealing_secret_file: holds what clients' own provider keys are encrypted with; without it none can
            be stored.
        redis_url: of the cache of answers; empty for none.
        plugin_wheels: files, each a distribution of pure Python with plugins in it.
    """

    listen: ListenSettings
    database: DatabaseSettings
    provider: ProviderSettings
    verify_key_file: str
    sealing_secret_file: str = ""
    redis_url: str = ""
    redis_password_file: str = ""
    plugin_wheels: tuple[str, ...] = ()
    budget: BudgetSettings = BudgetSettings()
    plugins: PluginSettings = PluginSettings()
