"""The speech node's settings file, `speech.toml`."""

from typing import Annotated, Literal

import msgspec

from orbitbot.foundation.settings import ListenSettings, Settings

Device = Literal["auto", "cpu", "cuda"]
ComputeType = Literal[
    "auto",
    "int8",
    "int8_float16",
    "int8_bfloat16",
    "int8_float32",
    "int16",
    "float16",
    "bfloat16",
    "float32",
]
Count = Annotated[int, msgspec.Meta(ge=1)]


class SpeechSettings(Settings, frozen=True):
    """What one speech node runs by.

    Attributes:
        verify_key_file: public key (PEM) of the gateway that signs the tokens.
        models: the models that callers may name → directory of the CTranslate2 model.
        default_model: used when a caller names none; loaded at startup.
        device: `auto` takes a GPU where there is one.
        compute_type: `auto` is float16 on a GPU, int8 on a CPU.
        num_workers: notes transcribed at the same time.
        cpu_threads: threads per note on a CPU; 0 shares the cores among `num_workers`.
        decoders: processes that decode audio.
        queue_limit: notes held at a time, waiting or under way; further ones are answered 503.
        max_seconds: longest voice note.
        max_bytes: largest file.
    """

    verify_key_file: str
    listen: ListenSettings
    models: dict[str, str]
    default_model: str = "medium"
    device: Device = "auto"
    compute_type: ComputeType = "auto"
    num_workers: Count = 2
    cpu_threads: Annotated[int, msgspec.Meta(ge=0)] = 0
    decoders: Count = 2
    queue_limit: Count = 32
    max_seconds: Annotated[float, msgspec.Meta(gt=0)] = 600.0
    max_bytes: Count = 16_000_000

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if self.default_model not in self.models:
            allowed = ", ".join(self.models) or "none is listed"
            raise ValueError(f"default_model {self.default_model!r} is not in [models] ({allowed})")
        if self.listen.workers != 1:
            raise ValueError("listen.workers must be 1: every worker would load the models again")
