"""The settings file of one bot, written by Ansible: `/etc/orbitbot/bots/<client>.toml`."""

from pathlib import Path

from orbitbot.contracts.clients import ChannelKind
from orbitbot.foundation.errors import InvalidInput, SettingsError
from orbitbot.foundation.names import check_client_id
from orbitbot.foundation.settings import Settings, load_settings


class ProcessSettings(Settings, frozen=True):
    """What the process needs before it can ask the gateway for the rest (`contracts.bot.BotSettings`).

    Attributes:
        gateway_url: scheme, host and port of the gateway, without a path.
        state_directory: the bot's own directory: journal, media, lock, channel state.
        credential_file: JSON of `contracts.clients.CredentialCreated`; read anew at every exchange, so
            that a rotated credential needs no restart.
        request_timeout_seconds: how long the gateway may keep a request waiting; above the 25 s
            within which it answers a turn.
        generation: of the lease that the host holds (`contracts.lease`); 0 on a host that needs none.
        retry_ceiling_seconds: the longest pause between two attempts, unless the gateway asks for more.
        probe_seconds: between two round trips to WhatsApp that prove that it still answers.
        probe_answer_seconds: for the answer; a connection without one is deaf and is made anew.
        connect_patience_seconds: for a connection to WhatsApp to come about, or to come back by itself.
    """

    client_id: str
    channel: ChannelKind
    gateway_url: str
    state_directory: str
    credential_file: str
    log_level: str = "INFO"
    request_timeout_seconds: float = 40.0
    retry_ceiling_seconds: float = 15.0
    probe_seconds: float = 60.0
    probe_answer_seconds: float = 20.0
    connect_patience_seconds: float = 90.0
    generation: int = 0


def load_process_settings(path: Path) -> ProcessSettings:
    """Read and check a bot's settings file.

    Raises:
        SettingsError: names the file, the field and the value.
    """
    settings = load_settings(path, ProcessSettings)
    try:
        check_client_id(settings.client_id)
    except InvalidInput as error:
        raise SettingsError(f"{path}: client_id: {error.detail}") from error
    if not settings.gateway_url.startswith(("http://", "https://")):
        raise SettingsError(
            f"{path}: gateway_url: {settings.gateway_url!r} is not an http:// or https:// address"
        )
    return settings
