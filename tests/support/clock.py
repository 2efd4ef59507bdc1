"""A clock that only a test moves."""


class Clock:
    """Seconds, moved by hand."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds
