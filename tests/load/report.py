"""What a measure leaves: raw samples in `build/bench/NAME.json`, and a last line with its figure."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

DIRECTORY: Final = Path(__file__).parents[2] / "build" / "bench"


class Report:
    """Samples and goals of one measure; the first goal is the figure of the last line.

    Args:
        name: of the make target, without `bench-`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._began = time.time()
        self._samples: list[dict[str, Any]] = []
        self._facts: dict[str, Any] = {}
        self._goals: list[dict[str, Any]] = []

    def sample(self, side: str, **values: Any) -> None:
        """Keep one raw sample of one side."""
        self._samples.append({"side": side, "at": round(time.time() - self._began, 3), **values})

    def samples(self, side: str) -> list[dict[str, Any]]:
        """The samples of one side so far."""
        return [each for each in self._samples if each["side"] == side]

    def fact(self, name: str, value: Any) -> None:
        """Keep something that the figures depend on."""
        self._facts[name] = value

    def say(self, text: str) -> None:
        """Tell whoever watches."""
        print(text, flush=True)

    def at_least(self, what: str, figure: float, goal: float, unit: str = "") -> None:
        """A figure that has to be as high as its goal."""
        self._goal(what, figure, f"at least {goal:g}{unit}", unit, met=figure >= goal)

    def at_most(self, what: str, figure: float, goal: float, unit: str = "") -> None:
        """A figure that must not be higher than its goal."""
        self._goal(what, figure, f"at most {goal:g}{unit}", unit, met=figure <= goal)

    def _goal(self, what: str, figure: float, goal: str, unit: str, *, met: bool) -> None:
        self._goals.append({"what": what, "figure": round(figure, 4), "unit": unit, "goal": goal, "met": met})
        self.say(f"{'met   ' if met else 'MISSED'} {what}: {figure:.4g}{unit} (goal {goal})")

    def finish(self) -> int:
        """Write everything down; the exit status: 1 if a goal was missed, or none was measured."""
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        content = {
            "name": self.name,
            "date": time.strftime("%Y-%m-%d", time.gmtime(self._began)),
            "seconds": round(time.time() - self._began, 1),
            "command": " ".join(["python", "-m", *sys.argv[:1], *sys.argv[1:]]),
            "machine": {
                "cores": os.cpu_count(),
                "system": platform.platform(),
                "python": platform.python_version(),
            },
            "facts": self._facts,
            "goals": self._goals,
            "samples": self._samples,
        }
        (DIRECTORY / f"{self.name}.json").write_text(json.dumps(content, indent=1) + "\n")
        if not self._goals:
            self.say(f"{self.name}: nothing was measured")
            return 1
        first = self._goals[0]
        self.say(f"{self.name}: {first['figure']:.4g}{first['unit']} (goal {first['goal']})")
        return 0 if all(goal["met"] for goal in self._goals) else 1


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of them lie."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)
