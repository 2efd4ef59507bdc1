"""The answers of OpenAI's form: json, text, verbose_json, srt, vtt."""

from collections.abc import Callable
from typing import Any, Final

from litestar import MediaType, Response

from orbitbot.speech.service import Answer

AnyResponse = Response[Any]


def _json(answer: Answer) -> AnyResponse:
    return Response({"text": answer.transcription.transcription})


def _text(answer: Answer) -> AnyResponse:
    return Response(answer.transcription.transcription + "\n", media_type=MediaType.TEXT)


def _verbose(answer: Answer) -> AnyResponse:
    heard = answer.transcription
    return Response(
        {
            "task": "transcribe",
            "language": heard.language,
            "duration": heard.duration,
            "text": heard.transcription,
            "segments": [
                {
                    "id": number,
                    "seek": 0,
                    "start": each.start,
                    "end": each.end,
                    "text": each.text.strip(),
                    "tokens": each.tokens,
                    "temperature": each.temperature,
                    "avg_logprob": each.log_probability,
                    "compression_ratio": each.compression,
                    "no_speech_prob": each.no_speech,
                }
                for number, each in enumerate(answer.segments)
            ],
        }
    )


def _srt(answer: Answer) -> AnyResponse:
    cues = [
        f"{number}\n{_time(each.start, ',')} --> {_time(each.end, ',')}\n{_cue(each.text)}\n"
        for number, each in enumerate(answer.segments, 1)
    ]
    return Response("\n".join(cues), media_type="application/x-subrip; charset=utf-8")


def _vtt(answer: Answer) -> AnyResponse:
    cues = [
        f"{_time(each.start, '.')} --> {_time(each.end, '.')}\n{_cue(each.text)}\n"
        for each in answer.segments
    ]
    return Response("\n".join(["WEBVTT\n", *cues]), media_type="text/vtt; charset=utf-8")


FORMATS: Final[dict[str, Callable[[Answer], AnyResponse]]] = {
    "json": _json,
    "text": _text,
    "srt": _srt,
    "verbose_json": _verbose,
    "vtt": _vtt,
}


def _time(seconds: float, decimal: str) -> str:
    """`seconds` as hours, minutes, seconds and milliseconds: 00:00:01,500."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{decimal}{milliseconds:03}"


def _cue(text: str) -> str:
    """Words as one cue: the arrow would end it."""
    return text.strip().replace("-->", "->")
