"""`/metrics`: bots by state, for the fleet's own eyes."""

from tests.support.gateway import Client, Gateways, problem_of


def test_bots_are_counted_by_state(gateway: Gateways, client: Client) -> None:
    body = {"state": "restricted", "channel": "x", "release": "1", "journalBacklog": 7}
    client.bot.put(f"/api/clients/{client.id}/bot", json=body).raise_for_status()
    gateway.operator().post(f"/api/clients/{client.id}/restart").raise_for_status()
    answer = gateway.http().get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert "# TYPE orbitbot_bots gauge" in lines
    assert f'orbitbot_bot_up{{client="{client.id}",state="restricted"}} 0' in lines
    assert f'orbitbot_bot_backlog_turns{{client="{client.id}"}} 7' in lines
    assert any(line.startswith('orbitbot_commands{kind="restart",state="pending"}') for line in lines)
    states = [line for line in lines if line.startswith("orbitbot_bots{")]
    assert len(states) == 13
    assert 'orbitbot_bots{state="banned"} 0' in states


def test_nobody_outside_sees_them(gateway: Gateways) -> None:
    problem_of(gateway.http().get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"}), 404)
