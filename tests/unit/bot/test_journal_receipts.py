"""Receipts of messages that the API sends, also those that are quicker than the answer to the send."""

from pathlib import Path

import msgspec

from orbitbot.bot.journal import Journal
from orbitbot.bot.journal_changes import EARLY_RECEIPTS
from orbitbot.contracts.reports import Receipt, SendOutcome


def test_a_receipt_that_comes_before_the_mark_is_reported_after_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    assert not journal.note_receipt(["3EB0A"], "delivered")
    journal.finish_send("s1", "5511", sent=True, message_id="3EB0A")
    told = [msgspec.json.decode(each.body, type=SendOutcome | Receipt) for each in journal.next_reports(9)]
    assert [type(each) for each in told] == [SendOutcome, Receipt]
    journal.note_receipt([f"X{n}" for n in range(2 * EARLY_RECEIPTS)], "read")
    assert len(journal._early_receipts) == EARLY_RECEIPTS
    journal.close()
