"""AI `POST /api/improve-transcription`: a raw transcription, corrected without inventing anything."""

import msgspec


class ImproveTranscription(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What was heard, and what helps to understand it.

    Attributes:
        context: what the speaker is likely to talk about (a shop's products, say).
        client_id: whose vocabulary helps, and who pays; without it nothing is corrected.
        contact: whose last turn helps.
        confidence: of the speech model, 0 to 1; a transcript as sure as the client's setting
            `confidentSpeech` asks is left as it is. Null: not known.
    """

    transcription: str
    context: str = ""
    client_id: str = ""
    contact: str = ""
    confidence: float | None = None


class Correction(msgspec.Struct, rename="camel"):
    """What was written instead of what; one of them may be empty only for punctuation."""

    heard: str
    corrected: str


class ImprovedTranscription(msgspec.Struct, rename="camel"):
    """`improved` equals the input where nothing could be bettered (always so with `offline`).

    Attributes:
        changes: the words that were changed, in order. Capitals and punctuation are not told.
        skipped: why no model was asked: `confident`, `off`, `no_key`, `empty`, `budget`, `failed`; empty if
            one was.
    """

    improved: str
    changes: list[Correction] = []
    skipped: str = ""
