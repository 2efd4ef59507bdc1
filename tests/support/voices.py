"""Voice notes for tests, made when the test runs: espeak-ng speaks, libopus packs into OGG as WhatsApp does.

The sentences are those of the small test model's closed Portuguese grammar (`tests/data/speech-model`):
it knows no other words. Keep a note to one sentence and a trained voice; the model's card says how
sure it is then. Needs Debian's `espeak-ng`.

`random_note` keeps to what the model hears best (the card has the numbers): of 16 trained voices the 8 in
which it got fewest words wrong, middling speed and pitch, at most 8 words. Ten such notes have more than one
word in twenty wrong about 3 times in 1,000.
"""

import importlib.util
import io
import random
import shutil
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

MODEL_DIRECTORY: Final = Path(__file__).parents[1] / "data" / "speech-model"
SAMPLE_RATE: Final = 16_000  # Hz
LEAD_IN: Final = 1_600  # samples of silence before the first word
LEAD_OUT: Final = 3_200  # samples of silence after the last word
CLEAR_VARIANTS: Final = ("", "m1", "m2", "m3", "m7", "f2", "Diogo", "Henrique")
LONGEST: Final = 8  # words

Samples = NDArray[np.float32]


class Voice(NamedTuple):
    """A way of speaking: espeak-ng variant, speed in words a minute, pitch from 0 to 99."""

    variant: str = ""
    speed: int = 160
    pitch: int = 50


DEFAULT_VOICE: Final = Voice()


@cache
def _script() -> ModuleType:
    """The model's training script: the one place that holds grammar and voices."""
    path = MODEL_DIRECTORY / "train_speech_model.py"
    spec = importlib.util.spec_from_file_location("train_speech_model", path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_sentence(rng: random.Random, longest: int = LONGEST) -> str:
    """One sentence of the shop's grammar of at most `longest` words, lower case, without punctuation."""
    while True:
        sentence = str(_script().sentence(rng))
        if len(sentence.split()) <= longest:
            return sentence


def random_voice(rng: random.Random) -> Voice:
    """A trained voice that the model hears well, at a middling speed and pitch."""
    return Voice(rng.choice(CLEAR_VARIANTS), speed=rng.randint(150, 180), pitch=rng.randint(40, 60))


def speak(text: str, voice: Voice = DEFAULT_VOICE, language: str = "pt") -> Samples:
    """`text` (`pt`, `en` or `es`) as mono samples from -1 to 1 at 16 kHz, with a little silence around."""
    if shutil.which("espeak-ng") is None:
        raise RuntimeError("espeak-ng is not installed; tests need it: apt-get install espeak-ng")
    spoken = _script().say(text, language, *voice)
    return np.pad(spoken, (LEAD_IN, LEAD_OUT)).astype(np.float32)


def ogg(samples: Samples, bit_rate: int = 16_000) -> bytes:
    """`samples` at 16 kHz as an OGG/Opus voice note."""
    file = io.BytesIO()
    _script().write_ogg(samples, file, bit_rate)
    return file.getvalue()


def synthesise(
    text: str, variant: str = "", speed: int = 160, pitch: int = 50, language: str = "pt"
) -> bytes:
    """`text` as an OGG/Opus voice note."""
    return ogg(speak(text, Voice(variant, speed, pitch), language))


def random_note(rng: random.Random) -> tuple[str, bytes]:
    """A random sentence and the voice note in which a random trained voice says it."""
    sentence, voice = random_sentence(rng), random_voice(rng)
    return sentence, synthesise(sentence, *voice)


def silence(seconds: float) -> bytes:
    """A voice note in which nothing at all is to be heard."""
    return ogg(np.zeros(int(seconds * SAMPLE_RATE), np.float32))


def noise(seconds: float, rng: random.Random, level: float = 0.05) -> bytes:
    """A voice note of white noise with `level` as standard deviation."""
    generator: Any = np.random.default_rng(rng.randrange(2**32))
    samples = generator.normal(0.0, level, int(seconds * SAMPLE_RATE)).astype(np.float32)
    return ogg(samples)


def with_noise(samples: Samples, decibels: float, seed: int) -> Samples:
    """`samples` with white noise, so many decibels below the speech."""
    generator = np.random.default_rng(seed)
    level = float(np.sqrt(np.mean(samples[np.abs(samples) > 0.01] ** 2))) * 10 ** (-decibels / 20)
    return (samples + generator.normal(0.0, level, len(samples))).astype(np.float32)


def word_errors(said: str, heard: str) -> int:
    """How many words must be put in, left out or exchanged to get from `said` to `heard`."""
    reference, words = said.split(), heard.split()
    previous = list(range(len(words) + 1))
    for row, wanted in enumerate(reference, 1):
        current = [row]
        for column, word in enumerate(words, 1):
            exchanged = previous[column - 1] + (wanted != word)
            current.append(min(previous[column] + 1, current[-1] + 1, exchanged))
        previous = current
    return previous[-1]
