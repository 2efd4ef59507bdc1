"""Answers that may be given again: to the same question, by the same configuration, nothing personal in it.

A question is safe to be answered from here if nothing but the client's configuration can have gone into its
answer: no history, no summary, no facts about the contact, no tool, and no word that asks for this moment or
says who somebody is. Everything that may change an answer is part of the key.
"""

import hashlib
import logging
import re
import time
import unicodedata
from typing import Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from orbitbot.ai.metrics import Metrics
from orbitbot.ai.models import Answer, Question
from orbitbot.foundation.names import redis_prefix

LONGEST: Final = 200  # characters of a question
DIGITS: Final = 5  # in a row: an order, a telephone number, a document
AWAY_SECONDS: Final = 5.0  # for which Redis is not asked again after it failed
_WORD: Final = re.compile(r"[^\W_]+")
_MANY_DIGITS: Final = re.compile(rf"(?:\d[\s().-]?){{{DIGITS},}}")
_MOMENT: Final = frozenset(
    [
        "agora",
        "hoje",
        "ontem",
        "amanhã",
        "amanha",
        "já",
        "ja",
        "ainda",
        "depois",
        "antes",
        "cedo",
        "tarde",
        "noite",
        "aberto",
        "aberta",
        "abertos",
        "fechado",
        "fechada",
        "abre",
        "abrem",
        "fecha",
        "fecham",
        "horas",
        "hora",
        "dia",
        "semana",
        "mês",
        "mes",
        "feriado",
        "now",
        "today",
        "yesterday",
        "tomorrow",
        "tonight",
        "still",
        "yet",
        "open",
        "closed",
        "opens",
        "closes",
        "opening",
        "hour",
        "hours",
        "day",
        "week",
        "month",
        "holiday",
        "ahora",
        "hoy",
        "ayer",
        "mañana",
        "todavía",
        "aún",
        "abierto",
        "cerrado",
        "abren",
        "cierran",
    ]
)
_PERSONAL: Final = frozenset(
    [
        "meu",
        "minha",
        "meus",
        "minhas",
        "eu",
        "mim",
        "comigo",
        "me",
        "nome",
        "chamo",
        "sou",
        "nosso",
        "nossa",
        "my",
        "mine",
        "me",
        "i",
        "im",
        "myself",
        "name",
        "our",
        "mi",
        "mis",
        "yo",
        "nombre",
        "llamo",
        "soy",
    ]
)

log = logging.getLogger(__name__)


def normalised(message: str) -> str:
    """The question without case, punctuation and superfluous blanks; words, numbers and accents stay."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", message).casefold()))


def is_safe(question: Question) -> bool:
    """Whether the answer can depend on nothing but the configuration and the question's words."""
    memory = question.memory
    if memory.history or memory.summary or memory.facts or question.spoken:
        return False
    message = question.message
    if len(message) > LONGEST or "@" in message or "://" in message or _MANY_DIGITS.search(message):
        return False
    words = set(normalised(message).split())
    return bool(words) and words.isdisjoint(_MOMENT) and words.isdisjoint(_PERSONAL)


class AnswerCache:
    """Answers in Redis. Without Redis every look-up misses.

    Args:
        redis: None for no cache at all.
    """

    def __init__(self, redis: Redis | None, metrics: Metrics) -> None:
        self._redis = redis
        self._metrics = metrics
        self._away_until = 0.0

    def key(self, question: Question, facts: tuple[str, ...]) -> str | None:
        """Where the answer would be kept; None if it must not be.

        Args:
            facts: what plugins say that may go into the answer, without the time of day.
        """
        profile = question.profile
        if self._redis is None or not profile.settings.cache_answers or not profile.revision:
            return None
        if not is_safe(question):
            self._metrics.count("orbitbot_ai_cache_total", result="unsafe")
            return None
        parts = (profile.revision, profile.name, profile.language, profile.timezone, *facts)
        digest = hashlib.sha256("\0".join((*parts, normalised(question.message))).encode()).hexdigest()
        return f"{redis_prefix(profile.client_id)}answer:{digest}"

    async def get(self, key: str) -> Answer | None:
        """The kept answer."""
        if self._redis is None or time.monotonic() < self._away_until:
            self._metrics.count("orbitbot_ai_cache_total", result="away")
            return None
        try:
            found = await self._redis.get(key)
        except (RedisError, OSError, TimeoutError) as error:
            self._gone(error)
            return None
        self._metrics.count("orbitbot_ai_cache_total", result="miss" if found is None else "hit")
        if found is None:
            return None
        text, model = msgspec.json.decode(found, type=tuple[str, str])
        return Answer(text, model=model, source="cache")

    async def put(self, key: str, answer: Answer, seconds: int) -> None:
        """Keep an answer for a while."""
        if self._redis is None or time.monotonic() < self._away_until:
            return
        try:
            await self._redis.set(key, msgspec.json.encode((answer.text, answer.model)), ex=seconds)
        except (RedisError, OSError, TimeoutError) as error:
            self._gone(error)

    def _gone(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        self._metrics.count("orbitbot_ai_cache_total", result="away")
        log.warning(
            "Redis is away: answers are not cached", extra={"action": "cache", "error": type(error).__name__}
        )
