"""The other side of `bench-speech`: faster-whisper by itself, resident or as a process for each file.

    python speech_peer.py resident MODEL DEVICE COMPUTE THREADS    file names on standard input
    python speech_peer.py once MODEL DEVICE COMPUTE THREADS FILE   one file, and the end

It imports nothing of this project. Beam, temperatures and voice detection are those of the speech node.
THREADS 0 is faster-whisper's own default.
"""

import json
import sys
import time


def main() -> None:
    """Transcribe as told on the command line."""
    from faster_whisper import WhisperModel  # noqa: PLC0415  (part of what a process for each file pays)

    how, directory, device, compute, threads, *files = sys.argv[1:]
    model = WhisperModel(
        directory, device=device, compute_type=compute, cpu_threads=int(threads), local_files_only=True
    )
    if how == "resident":
        print(json.dumps({"ready": True}), flush=True)
    for line in files or sys.stdin:
        began = time.perf_counter()
        segments, _ = model.transcribe(
            line.strip(),
            language="pt",
            beam_size=5,
            temperature=(0.0, 0.2, 0.4),
            condition_on_previous_text=False,
            vad_filter=True,
        )
        found = list(segments)
        answer = {
            "text": " ".join(segment.text.strip() for segment in found),
            "tokens": sum(len(segment.tokens) for segment in found),
            "seconds": time.perf_counter() - began,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
