"""Speech `POST /api/transcribe`: multipart `audio`, `model`, `language`, and the words heard.

Form fields: `audio` (file), `model` (default: the node's), `language` (default `pt`; `auto` detects),
`prompt` (optional: names the speaker may use), `client` (optional: whose note it is, for fairness),
`priority` (optional: `interactive`, the default, or `bulk`, which waits while others do not).
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
        decode_ms: spent on decoding the file.
        features_ms: … on finding speech and on the spectrogram.
        queue_ms: in the queue for the model.
        inference_ms: this note's part of the batches that the model computed.
        total_ms: from the file's arrival to the answer.
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
    features_ms: float = 0.0
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    total_ms: float = 0.0
    test_model: bool = False
