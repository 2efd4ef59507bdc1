"""Filters of deploy.yml, rollback.yml and site.yml: what all hosts' releases together allow.

Their input is what the module `host_releases` told of each host, registered as `release_on_host`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

_NUMBER: Final = re.compile(r"^(\d{4})_(pre|post)_")
NOTHING: Final = "0"  # no migration has this number


def settled(hostvars: Mapping[str, Any], hosts: Sequence[str], target: str) -> str:
    """The numbers of the migrations that every release knows which `target` follows, separated by commas.

    What a host runs is followed by the target; where that is the target already, what it ran before. So the
    target's own "post" migrations are not among them, however often it is deployed. Empty where it follows no
    release.
    """
    known: list[set[str]] = []
    for host in dict.fromkeys(hosts):
        told = hostvars[host].get("release_on_host", {})
        follows = told.get("previous") if told.get("current") == target else told.get("current")
        if follows:
            names = told["releases"].get(follows, {}).get("migrations") or []
            known.append({match[1] for name in names if (match := _NUMBER.match(name))})
    if not known:
        return ""
    return ",".join(sorted(set.intersection(*known))) or NOTHING


def rollback_target(hostvars: Mapping[str, Any], hosts: Sequence[str], wanted: str) -> dict[str, str]:
    """The release to return to, or why there is none: `release` and `problem`, one of them empty.

    Args:
        wanted: a release's name; empty for the one before the present one.
    """
    told = {host: hostvars[host]["release_on_host"] for host in hosts if "release_on_host" in hostvars[host]}
    if not told:
        return {"release": "", "problem": "no host could be asked"}
    everywhere = set.intersection(*(set(each["releases"]) for each in told.values()))
    if wanted:
        target = wanted
    else:
        befores = {each["previous"] for each in told.values()}
        currents = {each["current"] or "none" for each in told.values()}
        common = set().union(*(_earlier(each, everywhere) for each in told.values()))
        if befores == {""} or (len(currents) == 1 and not common):
            return _no(f"{', '.join(sorted(currents))} is the oldest release that every host has")
        if len(befores) > 1:
            shown = "; ".join(f"{host} {each['previous'] or 'none'}" for host, each in told.items())
            return _no(f"the hosts have different releases before their present ones ({shown}): name one")
        (target,) = befores
    lacking = [host for host, each in told.items() if target not in each["releases"]]
    if lacking:
        return _no(
            f"{', '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no release {target};"
            f" on every host there are: {', '.join(sorted(everywhere)) or 'none'}"
        )
    return {"release": target, "problem": ""}


def _earlier(told: Mapping[str, Any], everywhere: set[str]) -> set[str]:
    """The releases that a host had before its present one, of those that every host still has.

    Hosts prune differently: one keeps an old release because a bot still runs from it.
    """
    activated = list(told["activated"])
    place = activated.index(told["current"]) if told["current"] in activated else 0
    return set(activated[:place]) & everywhere


def _no(problem: str) -> dict[str, str]:
    return {"release": "", "problem": problem}


def unknown_posts(applied: Sequence[str], release: Mapping[str, Any]) -> list[str]:
    """The "post" migrations that the database has and a release does not know: it cannot run on them."""
    known = {name.removesuffix(".sql") for name in release.get("migrations") or []}
    return [each for each in applied if "_post_" in each and each not in known]


class FilterModule:
    """The filters' names in templates."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name → function."""
        return {
            "orbitbot_settled": settled,
            "orbitbot_rollback_target": rollback_target,
            "orbitbot_unknown_posts": unknown_posts,
        }
