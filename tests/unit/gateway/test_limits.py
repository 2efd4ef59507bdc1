"""The headers of draft-ietf-httpapi-ratelimit-headers, and the refusal."""

import pytest

from orbitbot.foundation.errors import TooManyRequests
from orbitbot.gateway.limits import Policy, Usage

POLICY = Policy("anonymous", 100, 900)


def test_headers() -> None:
    assert Usage(POLICY, allowed=True, remaining=12, reset_seconds=34).headers == {
        "RateLimit-Policy": '"anonymous";q=100;w=900',
        "RateLimit": '"anonymous";r=12;t=34',
    }


def test_a_refusal_says_when_to_come_again() -> None:
    Usage(POLICY, allowed=True, remaining=0, reset_seconds=34).enforce()
    with pytest.raises(TooManyRequests) as refused:
        Usage(POLICY, allowed=False, remaining=0, reset_seconds=34).enforce()
    assert refused.value.retry_after == 34
    assert refused.value.extra["headers"]["RateLimit"] == '"anonymous";r=0;t=34'
