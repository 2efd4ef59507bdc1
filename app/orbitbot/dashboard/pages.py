"""What every page shares: templates, assets, and headers that let a page load nothing but our own."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response, get
from litestar.enums import MediaType
from litestar.params import FromPath

from orbitbot.dashboard.texts import LANGUAGES, Language, texts
from orbitbot.foundation.errors import NotFound
from orbitbot.foundation.notices import templates
from orbitbot.foundation.web import COUNTS_FAILURES

# Nothing from elsewhere, nothing inline, and no page of ours inside somebody else's.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",  # a link's address is a secret
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
}
_ASSETS: Final = Path(__file__).with_name("assets")
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER: Final = "public, max-age=31536000, immutable"  # the address changes with the content


@cache
def environment() -> Environment:
    """The templates. A name that is not given is an error, and everything is escaped."""
    found = Environment(
        loader=FileSystemLoader(str(templates() / "dashboard")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["asset"] = asset_address
    found.globals["languages"] = {each: texts(each)("language_name") for each in LANGUAGES}
    return found


def render(template: str, language: Language, **values: Any) -> str:
    """A template in one language."""
    return environment().get_template(template).render(t=texts(language), language=language, **values)


def page(html: str, status: int = 200) -> Response[str]:
    """A page with its headers."""
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=PAGE_HEADERS)


@cache
def assets() -> dict[str, tuple[bytes, str]]:
    """Name → content and media type of every file that pages load."""
    return {
        path.name: (path.read_bytes(), _TYPES[path.suffix])
        for path in _ASSETS.iterdir()
        if path.suffix in _TYPES
    }


@cache
def asset_address(name: str) -> str:
    """Where a page loads an asset from; another address for another content."""
    content, _ = assets()[name]
    return f"/assets/{name}?v={hashlib.sha256(content).hexdigest()[:10]}"


@get("/assets/{name:str}", include_in_schema=False, opt={COUNTS_FAILURES: True}, sync_to_thread=False)
def asset(name: FromPath[str]) -> Response[bytes]:
    """A style, script or picture of our own pages."""
    found = assets().get(name)
    if found is None:
        raise NotFound(f"there is no asset {name!r}")
    content, media_type = found
    headers = {"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=media_type, headers=headers)
