"""Voice notes for measures of speech: sentences of the test model's grammar, also several in one note."""

import random
from pathlib import Path
from typing import Final

import numpy as np

from tests.support.voices import SAMPLE_RATE, ogg, random_sentence, random_voice, speak, synthesise

SHORTEST: Final = 3.0  # seconds
LONGEST: Final = 15.0


def notes_of_seconds(lengths: list[float], directory: Path, seed: int) -> list[Path]:
    """A file of speech for each of `lengths`, without a pause that a voice detector would cut out."""
    rng = random.Random(seed)
    files = []
    for number, length in enumerate(lengths):
        voice = random_voice(rng)
        samples = np.zeros(0, np.float32)
        while len(samples) < length * SAMPLE_RATE:
            samples = np.concatenate([samples, speak(random_sentence(rng), voice)])
        file = directory / f"{seed}-{number}.ogg"
        file.write_bytes(ogg(samples[: int(length * SAMPLE_RATE)]))
        files.append(file)
    return files


def spread_lengths(count: int) -> list[float]:
    """`count` lengths from 3 to 15 s, evenly, in an order that mixes short and long."""
    lengths = [SHORTEST + (LONGEST - SHORTEST) * number / (count - 1) for number in range(count)]
    random.Random(0).shuffle(lengths)
    return lengths


def sentences(count: int, directory: Path, seed: int) -> list[tuple[str, Path]]:
    """Short notes of one sentence each, with the sentence: what the test model hears."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        said, voice = random_sentence(rng), random_voice(rng)
        file = directory / f"sentence-{seed}-{number}.ogg"
        file.write_bytes(synthesise(said, *voice))
        made.append((said, file))
    return made
