"""Speech `POST /api/transcribe`: multipart `audio`, `model`, `language`, and the words heard.

Form fields: `audio` (file), `model` (default: the node's), `language` (default `pt`; `auto` detects),
`prompt` (optional: names the speaker may use), `client` (optional: whose note it is, for fairness).
"""

import msgspec


class Segment(msgspec.Struct, rename="camel"):
    """A piece of speech; times in seconds from the start."""

    start: float
    end: float
    text: str


class Transcription(msgspec.Struct, rename="camel"):
    """What was heard.

    Attributes:
        transcription: the words; empty when nothing was heard, and `reason` then says why.
        language: the language used or detected.
        confidence: mean token probability, 0 to 1.
        duration: length of the audio in seconds.
        test_model: a tiny test model is loaded, not a real transcriber.
    """

    transcription: str
    language: str
    confidence: float
    duration: float
    model: str
    segments: list[Segment] = []
    reason: str = ""
    decode_ms: float = 0.0
    inference_ms: float = 0.0
    test_model: bool = False
