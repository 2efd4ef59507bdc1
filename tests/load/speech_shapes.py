"""Whisper models of the published shapes with random weights: what a measure of speed needs, and no words.

Arithmetic and memory traffic of a real model of that shape, without its weights: every layer is computed as
it would be. The weights are random but for two dimensions of the decoder's state, which no layer touches and
which only the positions set: one says "end of text" from `TOKENS` on, the other holds time stamps back. So
every window ends after exactly `TOKENS` tokens, as sure of them as a real model, and neither side of
a measure has to be told to stop or to decode again.
"""

import itertools
import json
import string
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from ctranslate2.specs.whisper_spec import WhisperSpec
from numpy.typing import NDArray

TOKENS: Final = 32  # tokens of every window: ten seconds of Portuguese have about that many
SOURCE_POSITIONS: Final = 1500
TARGET_POSITIONS: Final = 448
_PROMPT: Final = 3  # tokens before the text: start, language, task
_TEXT_TOKENS: Final = 50_257
_TIMESTAMPS: Final = 1501
_END: Final = 0
_STAMP: Final = 1  # these are the two dimensions that no layer touches
_SURE: Final = 8.0  # their size in the state: after the last norm still far above everything else
_SHARP: Final = 8.0  # spread of the other scores, so that the best token is a sure one

Array = NDArray[np.float32]


class Shape(NamedTuple):
    """Sizes of a published Whisper model."""

    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    mel_bins: int = 80
    languages: int = 99


SHAPES: Final = {
    "tiny": Shape(384, 4, 4, 6),
    "base": Shape(512, 6, 6, 8),
    "small": Shape(768, 12, 12, 12),
    "medium": Shape(1024, 24, 24, 16),
    "large-v3": Shape(1280, 32, 32, 20, 128, 100),
    "turbo": Shape(1280, 32, 4, 20, 128, 100),
}


def write_model(directory: Path, shape: Shape, quantization: str, seed: int = 1) -> None:
    """Write a CTranslate2 model of `shape` into `directory` (made if it is not there)."""
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary, languages = _vocabulary(shape)
    spec = WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    weights = _Weights(np.random.default_rng(seed), shape.width)
    _fill_encoder(spec.encoder, weights, shape)
    _fill_decoder(spec.decoder, weights, vocabulary)
    spec.register_vocabulary(vocabulary)
    spec.config.lang_ids = languages
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [220, _TEXT_TOKENS]
    spec.config.alignment_heads = [[shape.decoder_layers - 1, head] for head in range(shape.heads)]
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(directory))
    _write_json(directory / "tokenizer.json", _tokenizer(vocabulary))
    features = {"feature_size": shape.mel_bins, "sampling_rate": 16_000, "hop_length": 160}
    _write_json(directory / "preprocessor_config.json", {**features, "chunk_length": 30, "n_fft": 400})
    _write_json(directory / "orbitbot-model.json", {"description": "random weights", "test_model": True})


class _Weights:
    def __init__(self, generator: np.random.Generator, width: int) -> None:
        self._generator = generator
        self._width = width

    def random(self, *shape: int, spread: float) -> Array:
        values: Array = self._generator.standard_normal(shape, dtype=np.float32) * np.float32(spread)
        return values

    def linear(self, spec: Any, outputs: int, inputs: int, *, into_state: bool = False) -> None:
        spec.weight = self.random(outputs, inputs, spread=inputs**-0.5 / (2 if into_state else 1))
        spec.bias = np.zeros(outputs, np.float32)
        if into_state:
            spec.weight[[_END, _STAMP]] = 0

    def norm(self, spec: Any) -> None:
        spec.gamma = np.ones(self._width, np.float32)
        spec.beta = np.zeros(self._width, np.float32)

    def self_attention(self, spec: Any) -> None:
        self.norm(spec.layer_norm)
        self.linear(spec.linear[0], 3 * self._width, self._width)
        self.linear(spec.linear[1], self._width, self._width, into_state=True)

    def cross_attention(self, spec: Any) -> None:
        self.norm(spec.layer_norm)
        self.linear(spec.linear[0], self._width, self._width)
        self.linear(spec.linear[1], 2 * self._width, self._width)
        self.linear(spec.linear[2], self._width, self._width, into_state=True)

    def feed_forward(self, spec: Any) -> None:
        self.norm(spec.layer_norm)
        self.linear(spec.linear_0, 4 * self._width, self._width)
        self.linear(spec.linear_1, self._width, 4 * self._width, into_state=True)


def _fill_encoder(spec: Any, weights: _Weights, shape: Shape) -> None:
    for conv, channels in ((spec.conv1, shape.mel_bins), (spec.conv2, shape.width)):
        conv.weight = weights.random(shape.width, channels, 3, spread=(3 * channels) ** -0.5)
        conv.bias = np.zeros(shape.width, np.float32)
    spec.position_encodings.encodings = weights.random(SOURCE_POSITIONS, shape.width, spread=0.5)
    weights.norm(spec.layer_norm)
    for layer in spec.layer:
        weights.self_attention(layer.self_attention)
        weights.feed_forward(layer.ffn)


def _fill_decoder(spec: Any, weights: _Weights, vocabulary: list[str]) -> None:
    width = len(weights.random(1, weights._width, spread=1)[0])
    embeddings = weights.random(len(vocabulary), width, spread=1)
    embeddings[:, [_END, _STAMP]] = 0
    spec.embeddings.weight = embeddings
    positions = weights.random(TARGET_POSITIONS, width, spread=1)
    positions[:, _END] = -_SURE
    positions[_PROMPT + TOKENS - 1 :, _END] = _SURE
    positions[:, _STAMP] = _SURE
    spec.position_encodings.encodings = positions
    weights.norm(spec.layer_norm)
    projection = weights.random(len(vocabulary), width, spread=_SHARP * width**-0.5)
    projection[:, [_END, _STAMP]] = 0
    projection[_TEXT_TOKENS, _END] = 4 * _SHARP
    projection[-_TIMESTAMPS:, _STAMP] = -4 * _SHARP
    spec.projection.weight = projection
    for layer in spec.layer:
        weights.self_attention(layer.self_attention)
        weights.cross_attention(layer.attention)
        weights.feed_forward(layer.ffn)


def _vocabulary(shape: Shape) -> tuple[list[str], list[int]]:
    """Every token by its id, and the ids of the languages."""
    from faster_whisper.tokenizer import _LANGUAGE_CODES  # noqa: PLC0415
    from tokenizers.pre_tokenizers import ByteLevel  # noqa: PLC0415

    text = sorted(ByteLevel.alphabet())
    text += _words(_TEXT_TOKENS - 1 - len(text))
    text.append("")  # CTranslate2 takes a model with the empty token for a multilingual one
    special = ["<|endoftext|>", "<|startoftranscript|>"]
    special += [f"<|{code}|>" for code in _LANGUAGE_CODES[: shape.languages]]
    languages = [_TEXT_TOKENS + 2 + number for number in range(shape.languages)]
    tasks = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    special += [f"<|{task}|>" for task in tasks]
    stamps = [f"<|{number * 0.02:.2f}|>" for number in range(_TIMESTAMPS)]
    return text + special + stamps, languages


def _words(count: int) -> list[str]:
    """Different words, each with the space before it; short ones, as of somebody who speaks fast."""
    triples = itertools.product(string.ascii_letters + string.digits, repeat=3)
    return ["Ġ" + "".join(letters) for letters in itertools.islice(triples, count)]


def _tokenizer(vocabulary: list[str]) -> dict[str, Any]:
    special = {
        number: token for number, token in enumerate(vocabulary) if number >= _TEXT_TOKENS
    }  # with the time stamps, as the published tokenizers have them
    added = [
        {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False, "special": True}
        for number, token in special.items()
    ]
    return {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {token: number for number, token in enumerate(vocabulary) if number < _TEXT_TOKENS},
            "merges": [],
        },
    }


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content) + "\n")
