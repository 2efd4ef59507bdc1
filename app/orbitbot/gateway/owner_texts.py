"""What the assistant says to admin numbers about their commands, in Portuguese and English."""

from collections.abc import Mapping
from typing import Final

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "pt": {
        "status": "/status: como estão o bot e o número",
        "stats": "/stats [DIAS]: números dos últimos dias",
        "personality": "/personality list | show [VERSÃO] | use VERSÃO: versões da personalidade",
        "model": "/model [NOME]: mostra ou troca o modelo de linguagem",
        "plugins": "/plugins [on|off NOME]: mostra, liga ou desliga plugins",
        "history": "/history NÚMERO: últimas mensagens de um contato",
        "backup": "/backup: pede ao operador uma cópia de segurança",
        "confirm": "/confirm CÓDIGO: confirma o que foi pedido",
        "pause": "/pause NÚMERO [MINUTOS]: silêncio com um contato",
        "resume": "/resume NÚMERO: volta a responder a um contato",
        "help": "/help: esta lista",
        "bot": "Bot: {state}{reason}. Número: {number}.",
        "no_bot": "O bot ainda não deu sinal de vida.",
        "counts": "Conversas novas hoje: {new_chats} de {new_chats_limit}. Reconexões: "
        "{reconnects}. Não entregues: {undelivered}.",
        "numbers": "Últimos {days} dias: {messages} mensagens, {answered} respondidas, "
        "{silenced} em silêncio, {failed} com falha. Custo: US$ {cost:.2f}.",
        "versions": "Versões:",
        "present": " (em uso)",
        "no_personality": "(vazia)",
        "model_is": "Modelo: {model}",
        "default_model": "o do operador",
        "plugins_are": "Plugins:",
        "on": "ligado", "off": "desligado",
        "no_history": "Não há mensagens de {contact}.",
        "confirm_use": "Isto troca a personalidade e as configurações pela versão {what}.",
        "confirm_model": "Isto troca o modelo para {what}.",
        "confirm_off": "Isto desliga o plugin {what}.",
        "ask": "{what} Para confirmar, envie em 5 minutos: /confirm {code}",
        "no_code": "Não há nada a confirmar com esse código.",
        "done": "Pronto: {what}.",
        "used": "a versão {what} está em uso", "switched": "o modelo é {what}",
        "turned_on": "o plugin {what} está ligado", "turned_off": "o plugin {what} está desligado",
        "backup_asked": "Anotei o pedido, e o operador pode vê-lo; por este comando nenhuma cópia começa. "
        "Onde as cópias estão ligadas, cada mudança no banco de dados é copiada em minutos, e tudo, com as "
        "sessões dos bots, uma vez por noite. Se precisar de uma cópia antes disso, fale com o operador: "
        "ele a faz na hora.",
        "usage": "Não entendi. Use: {usage}",
        "refused": "Não deu: {detail}",
    },
    "en": {
        "status": "/status: how the bot and the number are",
        "stats": "/stats [DAYS]: figures of the last days",
        "personality": "/personality list | show [VERSION] | use VERSION: versions of the personality",
        "model": "/model [NAME]: shows or changes the language model",
        "plugins": "/plugins [on|off NAME]: shows plugins, turns them on or off",
        "history": "/history NUMBER: a contact's last messages",
        "backup": "/backup: asks the operator for a backup",
        "confirm": "/confirm CODE: confirms what was asked for",
        "pause": "/pause NUMBER [MINUTES]: silence towards a contact",
        "resume": "/resume NUMBER: answers a contact again",
        "help": "/help: this list",
        "bot": "Bot: {state}{reason}. Number: {number}.",
        "no_bot": "The bot has given no sign of life yet.",
        "counts": "New chats today: {new_chats} of {new_chats_limit}. Reconnects: {reconnects}. "
        "Undelivered: {undelivered}.",
        "numbers": "Last {days} days: {messages} messages, {answered} answered, {silenced} silenced, "
        "{failed} failed. Cost: US$ {cost:.2f}.",
        "versions": "Versions:",
        "present": " (in use)",
        "no_personality": "(empty)",
        "model_is": "Model: {model}",
        "default_model": "the operator's",
        "plugins_are": "Plugins:",
        "on": "on", "off": "off",
        "no_history": "There are no messages of {contact}.",
        "confirm_use": "This changes personality and settings to version {what}.",
        "confirm_model": "This changes the model to {what}.",
        "confirm_off": "This turns the plugin {what} off.",
        "ask": "{what} To confirm, send within 5 minutes: /confirm {code}",
        "no_code": "There is nothing to confirm with that code.",
        "done": "Done: {what}.",
        "used": "version {what} is in use", "switched": "the model is {what}",
        "turned_on": "the plugin {what} is on", "turned_off": "the plugin {what} is off",
        "backup_asked": "I have noted it, and the operator can see it; this command starts no backup. Where "
        "backups are switched on, every change in the database is copied within minutes, and everything, "
        "the bots' sessions too, once a night. If you need one before that, talk to the operator, who "
        "makes it at once.",
        "usage": "I did not understand. Use: {usage}",
        "refused": "That did not work: {detail}",
    },
}  # fmt: skip

NAMES: Final = ("status", "stats", "personality", "model", "plugins", "history", "backup", "confirm", "help")
# As people in Brazil would write them.
OTHER_NAMES: Final = {
    "estado": "status", "estatisticas": "stats", "estatísticas": "stats", "personalidade": "personality",
    "modelo": "model", "historico": "history", "histórico": "history", "confirmar": "confirm",
    "ajuda": "help",
}  # fmt: skip


def texts(language: str) -> Mapping[str, str]:
    """The words in a client's language, English where there are none."""
    return _TEXTS["pt" if language.partition("-")[0].lower() == "pt" else "en"]
