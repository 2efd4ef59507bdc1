"""Configurations over HTTP: typed, versioned, compared, restored."""

from typing import Any

import pytest

from tests.support.gateway import Client, Gateways, problem_of

pytestmark = pytest.mark.integration


def patch(client: Client, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = client.integrator.patch(f"/api/clients/{client.id}", json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def get(client: Client, path: str = "", status: int = 200) -> dict[str, Any]:
    answer = client.integrator.get(f"/api/clients/{client.id}{path}")
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_client_is_read_with_its_settings_in_force(client: Client) -> None:
    fresh = get(client)
    assert fresh["personality"] == ""
    assert fresh["settings"]["temperature"] == 0.7
    patch(client, personality="Você é a Flor.", settings={"temperature": 0.2})
    assert (get(client)["personality"], get(client)["settings"]["temperature"]) == ("Você é a Flor.", 0.2)
    assert client.bot.get(f"/api/clients/{client.id}").json()["settings"] is None, "no bot's business"


def test_every_change_is_a_version_with_author_and_time(client: Client) -> None:
    patch(client, personality="Um", note="first words")
    patch(client, settings={"temperature": 0.2, "maxAnswerTokens": 100})
    assert patch(client, settings={"temperature": 0.2})["version"] == 2, "nothing differs"
    patch(client, name="Padaria Nova", timezone="Europe/Lisbon", language="en")
    found = get(client, "/versions")
    assert found["before"] is None
    assert [(line["version"], line["changed"], line["note"]) for line in found["versions"]] == [
        (3, ["name", "language", "timezone"], ""),
        (2, ["settings.maxAnswerTokens", "settings.temperature"], ""),
        (1, ["personality"], "first words"),
    ]
    for line in found["versions"]:
        assert line["author"] == f"client:{client.id}"
        assert line["createdAt"].startswith("20")
    whole = get(client)
    assert (whole["name"], whole["language"], whole["timezone"]) == ("Padaria Nova", "en", "Europe/Lisbon")


def test_versions_are_read_compared_and_restored(client: Client) -> None:
    patch(client, personality="Um\nDois", settings={"temperature": 0.2}, name="Antes")
    patch(client, personality="Um\nTrês", settings={"temperature": None, "noAnswerText": "?"}, name="Depois")
    assert get(client, "/versions/1")["personality"] == "Um\nDois"
    assert get(client, "/versions/1")["chosen"] == ["temperature"]
    compared = get(client, "/versions/1/compare/2")
    assert compared["differences"] == [
        {"field": "name", "before": "Antes", "after": "Depois"},
        {"field": "personality", "before": "Um\nDois", "after": "Um\nTrês"},
        {"field": "settings.noAnswerText", "before": "", "after": "?"},
        {"field": "settings.temperature", "before": 0.2, "after": 0.7},
    ]
    assert compared["personalityDiff"][1:] == [" Um", "-Dois", "+Três"]

    restore = f"/api/clients/{client.id}/versions/1/restore"
    restored = client.integrator.post(restore)
    assert restored.status_code == 200, restored.text
    assert (restored.json()["version"], restored.json()["note"]) == (3, "restored version 1")
    assert get(client, "/versions/1/compare/3")["differences"] == []
    assert get(client)["name"] == "Antes"
    assert client.integrator.post(restore).json()["version"] == 3, "harmless when repeated"
    for path in ("/versions/9", "/versions/0", "/versions/1/compare/9"):
        get(client, path, status=404)


def test_many_versions_come_in_pages(gateway: Gateways, client: Client) -> None:
    gateway.sql(
        "INSERT INTO client_configs (client_id, version, personality, settings, author)"
        " SELECT %s, n, n::text, '{}', 'test' FROM generate_series(1, 120) AS n",
        client.id,
    )
    seen: list[int] = []
    before: int | None = 10**6
    while before is not None:
        page = get(client, f"/versions?before={before}")
        seen += [line["version"] for line in page["versions"]]
        assert all(line["changed"] == ["personality"] for line in page["versions"])
        before = page["before"]
    assert seen == list(range(120, 0, -1))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"settings": {"temperatur": 1}}, "settings.temperatur"),
        ({"settings": {"temperature": 9}}, "settings.temperature"),
        ({"settings": {"business": {"hours": [{"days": ["lun"], "opens": "07:00", "closes": "19:00"}]}}},
         "settings.business.hours[0].days[0]"),
        ({"personality": "Aberto {{horas}}"}, "personality"),
        ({"language": "Portuguese!"}, "language"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"name": ""}, "name"),
        ({"settings": {"plugins": {"unknown": {}}}}, "settings.plugins.unknown"),
        ({"surprise": 1}, "body"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_changes_nothing(client: Client, body: dict[str, Any], field: str) -> None:
    document = problem_of(client.integrator.patch(f"/api/clients/{client.id}", json=body), 400)
    assert document["errors"][0]["field"] == field
    assert get(client, "/versions")["versions"] == []


def test_settings_of_plugins_are_checked_where_the_plugins_are(gateway: Gateways, client: Client) -> None:
    patch(client, settings={"plugins": {"known": {"enabled": True}}})
    assert get(client)["settings"]["plugins"] == {"known": {"enabled": True}}
    gateway.ai.unavailable = 100
    patch(client, settings={"temperature": 0.1}), "needs no plugins"
    answer = client.integrator.patch(
        f"/api/clients/{client.id}", json={"settings": {"plugins": {"known": {"enabled": False}}}}
    )
    problem_of(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


def test_only_the_client_and_operators_may(gateway: Gateways, client: Client) -> None:
    patch(client, personality="Um")
    other = gateway.add_client()
    calls = [
        ("GET", ""), ("PATCH", ""), ("GET", "/configuration"), ("GET", "/versions"), ("GET", "/versions/1"),
        ("GET", "/versions/1/compare/1"), ("POST", "/versions/1/restore"),
    ]  # fmt: skip
    for method, path in calls:
        url = f"/api/clients/{client.id}{path}"
        body = {} if method == "PATCH" else None
        assert gateway.http().request(method, url, json=body).status_code == 401
        assert other.integrator.request(method, url, json=body).status_code == 403
        if (method, path) != ("GET", ""):
            assert client.bot.request(method, url, json=body).status_code == 403
        assert gateway.operator().request(method, url, json=body).status_code == 200
