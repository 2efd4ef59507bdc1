"""Metrics in Prometheus' text format, added up over processes."""

import os
from pathlib import Path

import pytest

from orbitbot.foundation.metrics import Described, Metrics, shared_directory

DESCRIBED: Described = {
    "calls_total": ("counter", "Calls."),
    "open": ("gauge", "Open."),
    "seconds": ("histogram", "Seconds."),
}


def test_text() -> None:
    metrics = Metrics(DESCRIBED)
    metrics.count("calls_total", model='a"b\\c\n')
    metrics.count("calls_total", 2.5, model='a"b\\c\n')
    metrics.set("open", 1, model="m")
    metrics.observe("seconds", 0.02)
    metrics.observe("seconds", 99.0)
    lines = metrics.text().splitlines()
    assert 'calls_total{model="a\\"b\\\\c\\n"} 3.5' in lines
    assert "# TYPE calls_total counter" in lines
    assert 'open{model="m"} 1' in lines
    assert 'seconds_bucket{le="0.01"} 1' not in lines
    assert 'seconds_bucket{le="0.025"} 1' in lines
    assert 'seconds_bucket{le="+Inf"} 2' in lines
    assert "seconds_count 2" in lines
    assert "seconds_sum 99.02" in lines


def test_a_name_that_is_not_described_cannot_be_counted() -> None:
    metrics = Metrics(DESCRIBED)
    for action in (metrics.count, lambda name: metrics.set(name, 1), lambda name: metrics.observe(name, 1)):
        with pytest.raises(KeyError):
            action("unknown")


def test_processes_are_added_up_and_gauges_of_ended_ones_are_gone(tmp_path: Path) -> None:
    own = Metrics(DESCRIBED, tmp_path)
    own.count("calls_total", 1, model="m")
    other = Metrics(DESCRIBED, tmp_path)
    other.count("calls_total", 2, model="m")
    other.set("open", 1, model="m")
    other.write()
    (tmp_path / f"{os.getpid()}.json").rename(tmp_path / f"{os.getppid()}.json")
    assert 'calls_total{model="m"} 3' in own.text()
    assert 'open{model="m"} 1' in own.text()
    (tmp_path / f"{os.getppid()}.json").rename(tmp_path / "999999999.json")
    assert 'calls_total{model="m"} 3' in own.text()
    assert 'open{model="m"} 1' not in own.text()


def test_the_directory_is_the_same_for_children_of_one_process() -> None:
    directory = shared_directory("test-metrics")
    try:
        assert directory == shared_directory("test-metrics")
        assert directory.stat().st_mode & 0o777 == 0o700
    finally:
        directory.rmdir()
