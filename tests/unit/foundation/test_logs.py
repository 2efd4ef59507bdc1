"""Structured logs."""

import json
import logging

from orbitbot.foundation.logs import JsonFormatter, mask_contact


def test_a_record_is_one_line_of_json_with_its_extras() -> None:
    record = logging.getLogger("x").makeRecord(
        "x",
        logging.INFO,
        "f",
        1,
        "turn %s posted",
        ("t1",),
        None,
        extra={"client_id": "padaria", "took": 1.5},
    )
    line = json.loads(JsonFormatter("bot").format(record))
    assert line["message"] == "turn t1 posted"
    assert (line["service"], line["level"], line["client_id"], line["took"]) == (
        "bot",
        "info",
        "padaria",
        1.5,
    )


def test_newlines_cannot_forge_a_second_line() -> None:
    record = logging.getLogger("x").makeRecord("x", logging.INFO, "f", 1, 'a\n{"level": "error"}', (), None)
    assert "\n" not in JsonFormatter("bot").format(record)


def test_a_contact_shows_only_its_last_digits() -> None:
    assert mask_contact("5511987654321@s.whatsapp.net") == "…4321"
    assert mask_contact("5511987654321") == "…4321"
