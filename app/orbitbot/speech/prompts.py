"""The tokens that the decoder begins with: the client's vocabulary, and the language.

A batch needs prompts of one length. So that notes of different clients share batches, a vocabulary is filled
up from the left, by repeating itself, to one of a few lengths. That is done whether or not there is a batch,
so that a note's words do not depend on its neighbours.
"""

from collections.abc import Sequence
from typing import Final

LENGTHS: Final = (16, 32, 64, 128, 223)  # tokens; Whisper looks at 223 at most


def filled(tokens: Sequence[int]) -> list[int]:
    """`tokens` of a vocabulary, repeated until they have one of `LENGTHS`; empty stays empty."""
    if not tokens:
        return []
    kept = list(tokens)[-LENGTHS[-1] :]
    length = next(length for length in LENGTHS if length >= len(kept))
    repeated = kept * (length // len(kept) + 1)
    return repeated[-length:]
