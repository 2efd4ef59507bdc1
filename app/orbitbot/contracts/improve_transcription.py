"""AI `POST /api/improve-transcription`: a raw transcription, made readable without inventing."""

import msgspec


class ImproveTranscription(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`context`: what the speaker is likely to talk about (a shop's products, say)."""

    transcription: str
    context: str = ""
    client_id: str = ""


class ImprovedTranscription(msgspec.Struct, rename="camel"):
    """`improved` equals the input where nothing could be bettered (always so with `offline`)."""

    improved: str
