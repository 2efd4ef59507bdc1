"""QR codes as SVG images and as text for a terminal."""

import io
from typing import Final

import segno

_BORDER: Final = 4  # modules of quiet zone, as the standard wants: without it some cameras find nothing


def as_svg(text: str, *, label: str = "QR code") -> str:
    """An SVG element of the code, dark on white, that grows to the size it is given."""
    out = io.BytesIO()
    segno.make(text, error="l", micro=False).save(
        out,
        kind="svg",
        border=_BORDER,
        dark="#000",
        light="#fff",
        xmldecl=False,
        svgns=True,
        omitsize=True,
        title=label,
        svgclass="qr",
        lineclass=None,
        nl=False,
    )
    return out.getvalue().decode().replace("<svg ", '<svg role="img" ', 1)


def as_terminal(text: str) -> str:
    """The code in half blocks, with a light border, so that it can be scanned off a dark terminal, too."""
    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out, border=_BORDER, compact=True)
    return out.getvalue()
