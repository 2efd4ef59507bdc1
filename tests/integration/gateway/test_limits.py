"""Limits hold over several processes, count the right caller, and survive Redis."""

import asyncio
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.support.api import OPERATOR, TIMEOUT
from tests.support.gateway import OPERATOR_PASSWORD, Client, Gateways, answer_of, problem_of
from tests.support.net import wait_for


def from_address(gateways: Gateways, address: str, process: int = 0) -> httpx.Client:
    return gateways.http(process=process, **{"X-Forwarded-For": address})


def statuses(client: httpx.Client, count: int, path: str = "/api/clients") -> Counter[int]:
    return Counter(client.get(path).status_code for _ in range(count))


async def burst(url: str, address: str, count: int) -> Counter[int]:
    """Requests that are all under way at the same time."""
    async with httpx.AsyncClient(
        base_url=url, headers={"X-Forwarded-For": address}, timeout=TIMEOUT, trust_env=False, verify=False
    ) as caller:
        answers = await asyncio.gather(*(caller.get("/api/clients") for _ in range(count)))
        return Counter(answer.status_code for answer in answers)


async def test_exactly_a_hundred_pass_two_processes_at_once(gateways: Gateways) -> None:
    gateways.start(2)
    counts = await asyncio.gather(*(burst(each.url, "203.0.113.7", 90) for each in gateways.services))
    assert sum(counts, Counter[int]()) == {401: 100, 429: 80}


def test_a_caller_over_the_limit_is_told_when_to_come_again(gateway: Gateways) -> None:
    caller = from_address(gateway, "203.0.113.8")
    first = caller.get("/api/clients")
    assert first.headers["RateLimit-Policy"] == '"anonymous";q=100;w=900'
    assert re.fullmatch(r'"anonymous";r=99;t=(900|899)', first.headers["RateLimit"])
    statuses(caller, 99)
    refused = caller.get("/api/clients")
    document = problem_of(refused, 429)
    assert document["type"].endswith("too-many-requests")
    assert 890 <= int(refused.headers["Retry-After"]) <= 900
    assert refused.headers["RateLimit"].startswith('"anonymous";r=0;')


def test_every_path_counts_but_health(gateway: Gateways) -> None:
    caller = from_address(gateway, "203.0.113.9")
    for path in ("/docs", "/docs/openapi.json", "/nothing", "/api/clients/x/stats"):
        statuses(caller, 25, path)
    assert statuses(caller, 1) == {429: 1}
    assert statuses(caller, 5, "/nothing") == {429: 5}
    assert statuses(caller, 150, "/healthz") == {200: 150}
    assert statuses(caller, 5, "/readyz") == {200: 5}


def test_addresses_count_for_themselves_and_are_believed_from_the_proxy_only(gateway: Gateways) -> None:
    statuses(from_address(gateway, "203.0.113.10"), 101)
    assert statuses(from_address(gateway, "203.0.113.11"), 1) == {401: 1}
    # What a caller writes itself stands left of what the proxy adds.
    assert statuses(from_address(gateway, "203.0.113.11, 203.0.113.10"), 1) == {429: 1}
    # One customer has a whole /64.
    statuses(from_address(gateway, "2001:db8:1:2::1"), 101)
    assert statuses(from_address(gateway, "2001:db8:1:2:ffff::9"), 1) == {429: 1}
    assert statuses(from_address(gateway, "2001:db8:1:3::1"), 1) == {401: 1}


def test_bad_tokens_count_against_the_address(gateway: Gateways) -> None:
    caller = gateway.http("not.a.token", **{"X-Forwarded-For": "203.0.113.12"})
    assert statuses(caller, 101) == {401: 100, 429: 1}


RIGHT = {"grant_type": "password", "username": OPERATOR, "password": OPERATOR_PASSWORD}
WRONG = {**RIGHT, "password": "a wrong password"}


def test_passwords_cannot_be_guessed_faster_than_the_limit(gateways: Gateways) -> None:
    gateways.start(limits="anonymous_requests = 4")
    callers = [from_address(gateways, "203.0.113.13") for _ in range(4)]

    def guess(caller: httpx.Client) -> Counter[int]:
        return Counter(caller.post("/api/auth/token", json=WRONG).status_code for _ in range(5))

    with ThreadPoolExecutor(4) as pool:
        counts = sum(pool.map(guess, callers), Counter[int]())
    assert counts[401] == 4
    assert counts[429] == 16
    problem_of(callers[0].post("/api/auth/token", json=RIGHT), 429)
    elsewhere = from_address(gateways, "203.0.113.14")
    assert elsewhere.post("/api/auth/token", json=RIGHT).status_code == httpx.codes.OK


def test_a_wild_neighbour_does_not_lock_the_operator_out(gateway: Gateways) -> None:
    caller = from_address(gateway, "203.0.113.19")
    statuses(caller, 101)
    assert caller.post("/api/auth/token", json=RIGHT).status_code == httpx.codes.OK
    problem_of(caller.post("/api/auth/token", json=WRONG), 429)


def test_what_succeeds_does_not_count(gateway: Gateways, client: Client) -> None:
    caller = from_address(gateway, "203.0.113.15")
    grant = {
        "grant_type": "client_credentials",
        "client_id": client.bot_credential.credential_id,
        "client_secret": client.bot_credential.secret,
    }
    for _ in range(3):
        assert caller.post("/api/auth/token", json=grant).status_code == httpx.codes.OK
    assert caller.get("/api/clients").headers["RateLimit"].startswith('"anonymous";r=99;')
    statuses(caller, 99)
    # A host's bots renew their tokens, whatever else comes from that address.
    assert caller.post("/api/auth/token", json=grant).status_code == httpx.codes.OK
    wrong = {**grant, "client_secret": "x" * 43}
    problem_of(caller.post("/api/auth/token", json=wrong), 429)


def test_owners_of_tokens_have_limits_of_their_own(gateways: Gateways) -> None:
    gateways.start(limits="integrator_requests_per_minute = 5")
    client, other = gateways.add_client(), gateways.add_client()
    path = f"/api/clients/{client.id}"
    assert statuses(client.integrator, 6, path) == {200: 5, 429: 1}
    first = other.integrator.get(f"/api/clients/{other.id}")
    assert first.headers["RateLimit-Policy"] == '"integrator";q=5;w=60'
    assert first.headers["RateLimit"].startswith('"integrator";r=4;')
    assert statuses(client.bot, 20, path) == {200: 20}
    assert statuses(gateways.operator(), 20, path) == {200: 20}
    assert statuses(from_address(gateways, "203.0.113.16"), 1) == {401: 1}


def test_without_redis_each_worker_limits_for_itself(gateways: Gateways) -> None:
    gateways.start()
    client = gateways.add_client()
    gateways.redis.stop()
    try:
        assert answer_of(client.post("oi")).response == "echo: oi"
        caller = from_address(gateways, "203.0.113.17")
        assert statuses(caller, 120) == {401: 100, 429: 20}
        ready = gateways.http().get("/readyz")
        assert ready.status_code == httpx.codes.OK

        def said() -> bool:
            return "away" in gateways.http().get("/readyz").json()["checks"]["redis"]["detail"]

        wait_for(said, "the gateway says that Redis is away")
    finally:
        gateways.redis.start()
    fresh = from_address(gateways, "203.0.113.18")

    def counted() -> bool:
        fresh.get("/api/clients")
        with gateways.redis.client() as redis:
            return any(b"203.0.113.18" in key for key in redis.keys("*"))

    wait_for(counted, "limits are Redis's again")
