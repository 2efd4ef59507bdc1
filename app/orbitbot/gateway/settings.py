"""`/etc/orbitbot/gateway.toml`."""

from orbitbot.foundation.settings import DatabaseSettings, ListenSettings, Settings


class LimitSettings(Settings, frozen=True):
    """How much whom is allowed. Bots have no rate but a number of turns under way."""

    anonymous_requests: int = 100
    anonymous_seconds: int = 15 * 60
    pairing_link_requests: int = 600  # of one link in the same time, from wherever
    integrator_requests_per_minute: int = 600
    operator_requests_per_minute: int = 6000
    turns_in_flight: int = 32  # per client and worker process


class TurnSettings(Settings, frozen=True):
    """How long what may take, in seconds."""

    answer_seconds: float = 25.0  # until a post is answered 202
    claim_seconds: float = 15.0  # until another worker may take over a turn whose worker went silent
    retry_seconds: float = 15.0  # for which an unavailable AI service or speech node is asked again
    ai_seconds: float = 60.0  # for which one answer of the AI service is awaited
    speech_seconds: float = 180.0  # for which one transcription is awaited
    speech_wait_seconds: float = (
        300.0  # for which a voice note waits here for a node, before it is posted again
    )
    speech_notice_seconds: float = 60.0  # after which its contact is told that it waits


class GatewaySettings(Settings, frozen=True):
    """Everything the gateway is told."""

    listen: ListenSettings
    database: DatabaseSettings
    operator_database: DatabaseSettings
    redis_url: str
    signing_key_file: str
    verify_key_file: str
    ai_urls: list[str]
    speech_urls: list[str]
    public_url: str
    redis_password_file: str = ""
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks whose X-Forwarded-For is believed
    limits: LimitSettings = LimitSettings()
    turns: TurnSettings = TurnSettings()
