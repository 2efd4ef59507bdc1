"""Fair turns: a client's flood keeps nobody else waiting, and interactive notes come before bulk."""

from collections import Counter

from orbitbot.speech.fairness import FairQueue


def drained(queue: FairQueue[str]) -> list[str]:
    """Everything in the order in which it comes."""
    taken = []
    while (item := queue.pop()) is not None:
        taken.append(item)
    return taken


def test_one_client_is_served_in_order() -> None:
    queue: FairQueue[str] = FairQueue()
    for name in "abc":
        queue.push(name, client="x", cost=1)

    assert len(queue) == 3
    assert drained(queue) == ["a", "b", "c"]
    assert len(queue) == 0


def test_a_flood_does_not_keep_another_client_waiting() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(100):
        queue.push(f"flood {number}", client="loud", cost=1)
    assert [queue.pop() for _ in range(3)] == ["flood 0", "flood 1", "flood 2"]

    queue.push("note", client="quiet", cost=1)

    assert "note" in {queue.pop(), queue.pop()}


def test_shares_are_of_the_cost_and_not_of_the_number() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(40):
        queue.push("long", client="long", cost=30)
        queue.push("short", client="short", cost=3)

    first = Counter(queue.pop() for _ in range(44))

    assert first["long"] == 4
    assert first["short"] == 40


def test_a_client_saves_nothing_up_while_it_is_away() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(50):
        queue.push(f"b{number}", client="busy", cost=1)
    for _ in range(20):
        queue.pop()
    for number in range(20):
        queue.push(f"r{number}", client="returned", cost=1)

    following = Counter(str(queue.pop())[0] for _ in range(20))

    assert following == {"b": 10, "r": 10}


def test_bulk_waits_for_interactive_and_still_gets_its_share() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(90):
        queue.push("bulk", client="archive", cost=1, priority="bulk")
        queue.push("interactive", client="shop", cost=1)

    first = Counter(queue.pop() for _ in range(90))

    assert first == {"interactive": 80, "bulk": 10}


def test_only_what_is_accepted_is_taken() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("small", client="x", cost=1)
    queue.push("medium", client="y", cost=1)

    assert queue.pop(lambda item: item == "medium") == "medium"
    assert queue.pop(lambda item: item == "medium") is None
    assert queue.pop() == "small"


def test_a_client_without_work_is_forgotten() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(1000):
        queue.push("note", client=f"c{number}", cost=1)
    drained(queue)

    assert not any(queue._lines.values())
