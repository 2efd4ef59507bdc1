"""Workers that die or stop: another one takes their turns over, and nothing is answered twice."""

import signal
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.support.gateway import Client, Gateways, answer_of, problem_of
from tests.support.net import connections_being_served, wait_for

SHORT_CLAIM = "answer_seconds = 0.5\nclaim_seconds = 1.5\nretry_seconds = 1.0"


def on_second(gateways: Gateways, client: Client) -> Client:
    """The same client, speaking to the second process."""
    return Client(
        client.id,
        client.bot_credential,
        client.integrator_credential,
        gateways.as_credential(client.bot_credential, process=1),
        gateways.as_credential(client.integrator_credential, process=1),
    )


def test_a_turn_of_a_killed_worker_is_taken_over_and_answered_once(gateways: Gateways) -> None:
    gateways.start(2, turns=SHORT_CLAIM)
    first = gateways.add_client()
    second = on_second(gateways, first)
    gateways.ai.hold()
    assert first.post_notes(b"dois", key="k").status_code == httpx.codes.ACCEPTED
    gateways.ai.wait_arrived(1)
    assert second.post_notes(b"dois", key="k").status_code == httpx.codes.ACCEPTED  # joins, does not run it
    assert gateways.ai.arrived == 1
    gateways.services[0].kill()
    wait_for(lambda: answer_of(second.turn("k")).interrupted or gateways.ai.arrived > 1, "the claim ends", 10)
    gateways.ai.release()

    def answered() -> bool:
        return answer_of(second.post_notes(b"dois", key="k")).state == "answered"

    wait_for(answered, "the other worker answers", 10)
    assert answer_of(second.turn("k")).response == "echo: dois"
    assert len(gateways.ai.asked) == 1
    assert len(gateways.speech.notes) == 1
    assert gateways.sql("SELECT attempts FROM turns") == [(2,)]


def test_a_long_turn_keeps_its_claim(gateways: Gateways) -> None:
    gateways.start(2, turns=SHORT_CLAIM)
    first = gateways.add_client()
    second = on_second(gateways, first)
    gateways.ai.hold()
    first.post("devagar", key="k")
    gateways.ai.wait_arrived(1)
    begun = gateways.sql("SELECT claimed_until FROM turns")[0][0]
    wait_for(
        lambda: gateways.sql("SELECT claimed_until > %s + interval '2 s' FROM turns", begun)[0][0],
        "two signs of life",
    )
    waiting = answer_of(second.post("devagar", key="k"))
    assert (waiting.state, waiting.interrupted) == ("answering", False)
    assert gateways.ai.arrived == 1
    gateways.ai.release()
    assert answer_of(second.turn("k", wait=10)).response == "echo: devagar"
    assert gateways.sql("SELECT attempts FROM turns") == [(1,)]


def test_the_same_turn_at_two_processes_is_run_once(gateways: Gateways) -> None:
    gateways.start(2)
    first = gateways.add_client()
    second = on_second(gateways, first)
    with ThreadPoolExecutor(8) as pool:
        for key in ("a", "b", "c", "d", "e"):
            posts = [pool.submit(each.post, "oi", key=key) for each in [first, second] * 4]
            answers = [post.result() for post in posts]
            assert {answer.status_code for answer in answers} == {200}
            assert len({answer.content for answer in answers}) == 1
    assert gateways.ai.arrived == 5


def test_a_stopping_gateway_finishes_what_it_has_begun(gateways: Gateways) -> None:
    gateways.start()
    client = gateways.add_client()
    gateways.ai.hold()
    with ThreadPoolExecutor(1) as pool:
        posted = pool.submit(client.post, "oi", key="k")
        gateways.ai.wait_arrived(1)
        process = gateways.services[0].process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        gateways.ai.release()
        assert answer_of(posted.result()).response == "echo: oi"
    assert process.wait(20) == 0
    assert gateways.sql("SELECT state FROM turns") == [("answered",)]


def test_a_stopping_gateway_releases_what_it_cannot_finish(gateways: Gateways) -> None:
    gateways.start(2, turns="claim_seconds = 120")
    first = gateways.add_client()
    second = on_second(gateways, first)
    gateways.ai.hold()
    with ThreadPoolExecutor(2) as pool:
        posted = pool.submit(first.post, "oi", key="k")
        gateways.ai.wait_arrived(1)
        port = httpx.URL(gateways.services[0].url).port
        assert port is not None
        served = connections_being_served(port)
        awaited = pool.submit(first.turn, "k", wait=25)
        # What a stopping server has not read yet, it does not answer.
        wait_for(lambda: connections_being_served(port) > served, "the gateway has it")
        process = gateways.services[0].process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        refused = posted.result()
        problem_of(refused, 503)
        assert refused.headers["Retry-After"] == "1"
        assert answer_of(awaited.result()).interrupted
    assert process.wait(20) == 0
    assert "refused to gracefully stop" not in gateways.services[0].log_tail()
    assert gateways.sql("SELECT state, claimed_by FROM turns") == [("answering", None)]
    assert answer_of(second.turn("k")).interrupted
    gateways.ai.release()
    assert answer_of(second.post("oi", key="k")).response == "echo: oi"
    assert len(gateways.ai.asked) == 1


def test_a_gateway_without_its_database_says_so_and_recovers(gateways: Gateways) -> None:
    gateways.start()
    client = gateways.add_client()
    name = gateways.database.name
    with gateways.database.connect("postgres") as superuser:
        superuser.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename LIKE 'orbitbot%%' AND datname = %s",
            (name,),
        )
        refused = client.post("oi", key="k")
        problem_of(refused, 503)
        assert int(refused.headers["Retry-After"]) >= 1
        ready = gateways.http().get("/readyz")
        assert ready.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert ready.json()["checks"]["database"]["ok"] is False
        assert gateways.http().get("/healthz").status_code == httpx.codes.OK
        superuser.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
    wait_for(lambda: client.post("oi", key="k").status_code == httpx.codes.OK, "the database is back", 20)
    assert gateways.ai.arrived == 1
