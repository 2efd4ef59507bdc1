"""Structured logs: one JSON object a line on standard error, where supervisor picks it up.

Give facts as `extra=`: `log.info("turn posted", extra={"client_id": …, "message_id": …, "action": …})`.
Never a message's text, a token or a whole telephone number: see `mask_contact`.
"""

import logging
import sys
import time
from typing import Final

import msgspec

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
_VISIBLE_DIGITS = 4  # of a telephone number


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time, level, service, logger, message, then the extras."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON, without the newline."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return self._encoder.encode(line).decode()


def configure_logging(service: str, level: str = "INFO") -> None:
    """Send every logger of this process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "granian.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def mask_contact(contact: str) -> str:
    """A contact's id as it may stand in a log: only the last digits, such as `…4321`."""
    return "…" + contact.partition("@")[0][-_VISIBLE_DIGITS:]
