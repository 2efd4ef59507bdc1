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
AutoCount = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class SpeechSettings(Settings, frozen=True):
    """What one speech node runs by.

    Attributes:
        verify_key_file: public key (PEM) of the gateway that signs the tokens.
        models: the models that callers may name → directory of the CTranslate2 model.
        default_model: used when a caller names none; loaded at startup, and never unloaded.
        preload: further models that are loaded at startup.
        mirror: address below which a model whose directory is missing is looked for:
            `{mirror}/{name}/SHA256SUMS`
            names its files. Empty: only directories.
        keep_seconds: for which a model other than the default one stays loaded after its last use.
        model_memory: bytes that models may take together; 0: half of the memory that there is (a GPU's: 80
            %).
        device: `auto` takes a GPU where there is one.
        compute_type: `auto` is float16 on a GPU, int8 on a CPU.
        num_workers: batches computed at the same time; 0: by the cores, or two on a GPU.
        cpu_threads: threads per batch on a CPU; 0 shares the cores among `num_workers`.
        encode_batch, decode_batch: windows computed together, at most; 0: what suits the device.
        decoders: processes that decode audio; 0: one for eight cores, at least two.
        extractors: threads that find speech and compute spectrograms; 0: one for two cores, at least two.
        queue_limit: notes held at a time, waiting or under way; further ones are answered 503.
        client_limit: … of one client, answered 429; 0: half of `queue_limit`.
        decoded_seconds: decoded audio held at a time, in seconds (64 kB each): notes beyond it wait
            undecoded.
        answer_seconds: after which a note that is not done is answered 503.
        max_seconds: longest voice note.
        max_bytes: largest file.
    """

    verify_key_file: str
    listen: ListenSettings
    models: dict[str, str]
    default_model: str = "medium"
    preload: tuple[str, ...] = ()
    mirror: str = ""
    keep_seconds: Seconds = 900.0
    model_memory: AutoCount = 0
    device: Device = "auto"
    compute_type: ComputeType = "auto"
    num_workers: AutoCount = 0
    cpu_threads: AutoCount = 0
    encode_batch: AutoCount = 0
    decode_batch: AutoCount = 0
    decoders: AutoCount = 0
    extractors: AutoCount = 0
    queue_limit: Count = 32
    client_limit: AutoCount = 0
    decoded_seconds: Seconds = 1800.0
    answer_seconds: Seconds = 150.0
    max_seconds: Seconds = 600.0
    max_bytes: Count = 16_000_000

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        allowed = ", ".join(self.models) or "none is listed"
        if self.default_model not in self.models:
            raise ValueError(f"default_model {self.default_model!r} is not in [models] ({allowed})")
        for name in self.preload:
            if name not in self.models:
                raise ValueError(f"preload: {name!r} is not in [models] ({allowed})")
        if self.mirror and not self.mirror.startswith(("https://", "http://")):
            raise ValueError("mirror must be an http:// or https:// address")
        if self.listen.workers != 1:
            raise ValueError("listen.workers must be 1: every worker would load the models again")
