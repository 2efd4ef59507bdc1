"""What to do about a client's number: one plain sentence, in Portuguese or English."""

from typing import Final

from orbitbot.clients.models import BotReport

SILENT_AFTER: Final = 60.0  # seconds; a bot tells every 15 s how it is
PHONE_DROPS_AFTER: Final = 14 * 86_400.0  # seconds; WhatsApp unlinks devices of a phone unused for so long
PHONE_WARNS_AFTER: Final = 10 * 86_400.0  # seconds; four days to do something about it
MANY_RECONNECTS: Final = 20  # a day
MANY_UNDELIVERED: Final = 20
_DAY: Final = 86_400.0  # seconds
_STATES: Final = (
    "banned", "restricted", "logged_out", "waiting_for_pairing", "passkey_required", "client_outdated"
)  # fmt: skip

_TEXTS: Final = {
    "pt": {
        "silent": "O bot não dá sinal de vida: veja o registro dele e inicie-o de novo.",
        "banned": "O WhatsApp bloqueou este número: peça uma revisão no aplicativo, no celular.",
        "restricted": "O WhatsApp não deixa este número abrir conversas novas: não escreva primeiro a"
        " ninguém até isso passar; as respostas saem.",
        "logged_out": "Nenhum celular está conectado: conecte-o de novo.",
        "waiting_for_pairing": "Nenhum celular está conectado: conecte um.",
        "passkey_required": "O WhatsApp pede uma chave de acesso: confirme no celular e conecte de novo.",
        "client_outdated": "Esta versão é antiga demais para o WhatsApp: atualize.",
        "new_chats": "As conversas novas de hoje acabaram: as próximas esperam até amanhã; as respostas"
        " saem.",
        "reconnects": "A conexão cai muitas vezes: veja a rede da máquina.",
        "undelivered": "Muitas mensagens ainda não saíram: veja o estado do bot e o registro dele.",
        "phone": "O celular está parado há {days} dias: abra o WhatsApp nele em até {left:.1f} dias, ou o"
        " WhatsApp desfaz a conexão.",
        "phone_late": "O celular está parado há {days} dias: o WhatsApp pode desfazer a conexão a qualquer"
        " momento.",
        "": "Tudo bem: não há nada a fazer.",
    },
    "en": {
        "silent": "The bot gives no sign of life: look at its log, and start it again.",
        "banned": "WhatsApp has locked this number: appeal in the WhatsApp app on the phone.",
        "restricted": "WhatsApp lets this number open no new chats: write first to nobody until it is over;"
        " replies go out.",
        "logged_out": "No phone is linked: pair it again.",
        "waiting_for_pairing": "No phone is linked: pair it.",
        "passkey_required": "WhatsApp asks for a passkey: confirm on the phone, then pair again.",
        "client_outdated": "This release is too old for WhatsApp: upgrade.",
        "new_chats": "Today's new chats are used up: further ones wait until tomorrow; replies go out.",
        "reconnects": "The connection is often lost: look at the host's network.",
        "undelivered": "Many messages have not left yet: look at the bot's state and its log.",
        "phone": "The phone has been silent for {days} days: open WhatsApp on it within {left:.1f} days,"
        " or WhatsApp drops the link.",
        "phone_late": "The phone has been silent for {days} days: WhatsApp may drop the link at any moment.",
        "": "All is well: there is nothing to do.",
    },
}  # fmt: skip


def trouble(bot: BotReport) -> str:
    """What is most urgent about the number: a state, or `silent`, `phone`, `phone_late`, `new_chats`,
    `reconnects`, `undelivered`; empty while all is well."""
    if bot.silent_seconds > SILENT_AFTER:
        return "silent"
    if bot.state in _STATES:
        return bot.state
    found = (
        (_phone_trouble(bot), True),
        ("new_chats", 0 < bot.new_chats_limit <= bot.new_chats),
        ("reconnects", bot.reconnects >= MANY_RECONNECTS),
        ("undelivered", bot.undelivered >= MANY_UNDELIVERED),
    )
    return next((name for name, applies in found if name and applies), "")


def advice(bot: BotReport, language: str) -> str:
    """One plain sentence: the most urgent thing to do about the number."""
    return _said(bot, trouble(bot), language)


def phone_warning(bot: BotReport, language: str) -> str:
    """What to do before WhatsApp drops the link of a phone that nobody uses; empty while all is well."""
    found = _phone_trouble(bot)
    return _said(bot, found, language) if found else ""


def _phone_trouble(bot: BotReport) -> str:
    silent = bot.phone_silent_seconds
    if not bot.number or silent is None or silent < PHONE_WARNS_AFTER:
        return ""
    return "phone" if silent < PHONE_DROPS_AFTER else "phone_late"


def _said(bot: BotReport, name: str, language: str) -> str:
    texts = _TEXTS["pt" if language.partition("-")[0].lower() == "pt" else "en"]
    silent = bot.phone_silent_seconds or 0.0
    return texts[name].format(days=int(silent / _DAY), left=(PHONE_DROPS_AFTER - silent) / _DAY)
