"""`make up` once more on a machine on which it has run: nothing changes, and new messages are answered."""

import re
import time
from pathlib import Path

from tests.acceptance.deployment import Deployment, recaps

LIMIT = 45.0  # seconds that a second run should take on 2 cores; told, not asserted: the machine may be busy


def test_a_second_run_changes_nothing_and_answers_new_messages(
    deployment: Deployment, tmp_path: Path
) -> None:
    before = {info["name"]: info["pid"] for info in deployment.programs()}
    began = time.monotonic()

    output = deployment.make("up", tmp_path / "output").stdout

    print(f"the second `make up` took {time.monotonic() - began:.1f} s (meant to be below {LIMIT:g} s)")
    found = recaps(output)
    assert len(found) >= 3, "site.yml, add-client.yml and the summary each end with a recap"
    assert [host for host, changed, failed in found if changed or failed] == [], output[-4000:]
    assert {info["name"]: info["pid"] for info in deployment.programs()} == before, "a program was restarted"
    counts = re.search(r"in (\d+) .* answered (\d+) · silenced (\d+) .* lost 0 · doubled 0", output)
    assert counts, output[-4000:]
    sent, answered, silenced = map(int, counts.groups())
    assert sent == answered + silenced
    assert answered > 30
    for needed in ("https://localhost", "/docs", "vault"):
        assert needed in output
