"""What the AI service counts."""

from typing import Final

from orbitbot.foundation.metrics import Described, Metrics

__all__ = ["DESCRIBED", "Metrics"]

DESCRIBED: Final[Described] = {
    "orbitbot_ai_chats_total": ("counter", "Turns answered, by where the answer came from."),
    "orbitbot_ai_chat_seconds": ("histogram", "Seconds for one turn, the provider's time included."),
    "orbitbot_ai_overhead_seconds": ("histogram", "Seconds for one turn, without the provider's time."),
    "orbitbot_ai_calls_total": ("counter", "Calls of language models, by outcome."),
    "orbitbot_ai_provider_seconds": ("histogram", "Seconds for one call of a language model."),
    "orbitbot_ai_tokens_total": ("counter", "Tokens of prompts and answers."),
    "orbitbot_ai_cost_usd_total": ("counter", "USD spent on language models."),
    "orbitbot_ai_breaker_open": ("gauge", "1 while a model is left alone because it kept failing."),
    "orbitbot_ai_budget_refusals_total": (
        "counter",
        "Turns not sent to a model because the budget was used up.",
    ),
    "orbitbot_ai_cache_total": ("counter", "Look-ups in the cache of answers: hit, miss, unsafe, away."),
    "orbitbot_ai_plugin_calls_total": ("counter", "Calls of plugins' hooks, by outcome."),
    "orbitbot_ai_plugin_suspended": ("gauge", "1 while a plugin is left alone because it kept failing."),
    "orbitbot_ai_withheld_total": ("counter", "Answers withheld because they repeated the system text."),
    "orbitbot_ai_transcriptions_total": ("counter", "Transcripts looked at, by whether they were changed."),
}
