"""`/pair/<one-time link>`: the page on which a client's owner links the phone. The first page of the product.

It works without scripts, by reloading; with them the server pushes what changes as server-sent events.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from litestar import Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect, Stream

from orbitbot.clients.service import ClientService
from orbitbot.contracts.pairing import PairingView, RequestPhoneCode
from orbitbot.dashboard.pages import PAGE_HEADERS, page, render
from orbitbot.dashboard.pair_screen import Showing, fragment, fragment_values, showing
from orbitbot.dashboard.texts import LANGUAGES, Language, choose_language, texts
from orbitbot.foundation.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    OrbitBotError,
    TooManyRequests,
)
from orbitbot.foundation.phone_numbers import BRAZIL
from orbitbot.foundation.web import COUNTS_FAILURES, AnyRequest
from orbitbot.pairing.links import LIFETIME, OpenedLink, PairingLinks, cookie_name
from orbitbot.pairing.routes import BEAT, BEAT_SECONDS, STREAM_HEADERS, STREAM_TYPE, event
from orbitbot.pairing.service import PairingService

OWN_ROUNDS: Final = 4  # that a visit asks for by itself: some ten minutes of codes
LANGUAGE_COOKIE: Final = "orbitbot-language"
_LANGUAGE_SECONDS: Final = 365 * 86_400
_FORM_LIMIT: Final = 4096  # bytes
_SEE_OTHER: Final = 303

# Counts a visit: with a link's own last part where it is known, else with the caller's address.
CountVisit = Callable[[str, bool], Awaitable[None]]

log = logging.getLogger(__name__)


class PairPages:
    """Serves one link's pages.

    Args:
        count_visit: raises `TooManyRequests`; see `CountVisit`.
        secure: browsers reach us by HTTPS.
    """

    def __init__(
        self,
        links: PairingLinks,
        pairing: PairingService,
        clients: ClientService,
        count_visit: CountVisit,
        *,
        secure: bool,
    ) -> None:
        self.links = links
        self.pairing = pairing
        self._clients = clients
        self._count_visit = count_visit
        self._secure = secure

    async def look(self, request: AnyRequest, token: str) -> OpenedLink:
        """The link as this browser sees it.

        Raises:
            NotFound: there is no such link; it counts against the caller's address.
            TooManyRequests: it was looked at too often.
        """
        try:
            link = await self.links.look(token, request.cookies.get(cookie_name(token), ""))
        except NotFound:
            await self._count_visit(request.scope["state"]["address"], False)  # noqa: FBT003
            raise
        await self._count_visit(cookie_name(token), True)  # noqa: FBT003
        return link

    async def name_and_language(self, client_id: str) -> tuple[str, str]:
        """The client's name and language.

        Raises:
            NotFound: the client is gone.
        """
        client = await self._clients.read(client_id)
        return client.name, client.language

    async def show(self, link: OpenedLink) -> Showing:
        """How things stand; asks for a round where nothing is under way."""
        shown = showing(link, await self.pairing.read(link.client_id), may_ask=True)
        if shown.screen == "preparing" and shown.waits_for_round:
            await self.ask(link.client_id)
        return shown

    async def ask(self, client_id: str) -> None:
        """Ask for a round in the reader's name."""
        try:
            await self.pairing.begin(client_id, author=f"pairing-link:{client_id}")
        except Conflict as error:  # it has been linked meanwhile
            log.info("no round", extra={"client_id": client_id, "reason": error.detail, "action": "pairing"})

    def bound(self, response: Response[Any], token: str, secret: str) -> Response[Any]:
        """The response, with the cookie that binds the link to this browser."""
        response.set_cookie(
            Cookie(
                key=cookie_name(token),
                value=secret,
                path="/pair/",
                max_age=int(LIFETIME),
                httponly=True,
                secure=self._secure,
                samesite="lax",  # the link is opened from a chat or a mail
            )
        )
        return response

    def remembered(self, response: Response[Any], language: str) -> Response[Any]:
        """The response, with the language that was chosen."""
        if language in LANGUAGES:
            response.set_cookie(
                Cookie(
                    key=LANGUAGE_COOKIE,
                    value=language,
                    path="/",
                    max_age=_LANGUAGE_SECONDS,
                    httponly=True,
                    secure=self._secure,
                    samesite="lax",
                )
            )
        return response


Pages = NamedDependency[PairPages]
Asked = Annotated[str, QueryParameter(name="lang", description="pt or en")]


def language_of(request: AnyRequest, asked: str, otherwise: str = "pt") -> Language:
    """The language to speak to whoever asks."""
    return choose_language(
        asked,
        request.cookies.get(LANGUAGE_COOKIE, ""),
        request.headers.get("accept-language", ""),
        otherwise,
    )


@get("/pair/{token:str}")
async def open_page(
    request: AnyRequest, token: FromPath[str], pages: Pages, asked: Asked = ""
) -> Response[Any]:
    """The page as things stand. Looking at a link that nobody has opened changes nothing."""
    link = await pages.look(request, token)
    name, client_language = await pages.name_and_language(link.client_id)
    language = language_of(request, asked, client_language)
    path = f"/pair/{token}"
    if link.state == "unopened":
        return pages.remembered(page(render("pair/landing.html.j2", language, path=path, name=name)), asked)
    shown = await pages.show(link)
    if shown.screen in {"other_browser", "expired", "replaced"}:
        return pages.remembered(_notice(shown.screen, language, f"{shown.screen}.lead", 410), asked)
    return pages.remembered(page(_whole(shown, language, path, name)), asked)


@post("/pair/{token:str}", status_code=_SEE_OTHER)
async def open_link(request: AnyRequest, token: FromPath[str], pages: Pages) -> Response[Any]:
    """Bind the link to this browser."""
    _refuse_other_sites(request)
    link = await pages.look(request, token)
    response: Response[Any] = Redirect(f"/pair/{token}", status_code=_SEE_OTHER)
    if link.state == "unopened" and (secret := await pages.links.open(token)) is not None:
        log.info("pairing link opened", extra={"client_id": link.client_id, "action": "pairing"})
        return pages.bound(response, token, secret)
    return response


@post("/pair/{token:str}/round", status_code=_SEE_OTHER)
async def ask_for_round(request: AnyRequest, token: FromPath[str], pages: Pages) -> Redirect:
    """Ask for another round of codes."""
    _refuse_other_sites(request)
    link = await pages.look(request, token)
    if link.shows_codes:
        await pages.ask(link.client_id)
    return Redirect(f"/pair/{token}", status_code=_SEE_OTHER)


@post("/pair/{token:str}/phone-code", status_code=_SEE_OTHER, request_max_body_size=_FORM_LIMIT)
async def ask_for_phone_code(request: AnyRequest, token: FromPath[str], pages: Pages) -> Response[Any]:
    """Ask for the code that is typed into the phone whose number the form has."""
    _refuse_other_sites(request)
    link = await pages.look(request, token)
    path = f"/pair/{token}"
    if not link.shows_codes:
        return Redirect(path, status_code=_SEE_OTHER)
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=10)
    number = fields.get("number", [""])[0][:40]
    try:
        await pages.pairing.request_phone_code(
            link.client_id,
            RequestPhoneCode(number),
            author=f"pairing-link:{link.client_id}",
            country=BRAZIL,
        )
    except InvalidInput:
        name, client_language = await pages.name_and_language(link.client_id)
        language = language_of(request, "", client_language)
        shown = await pages.show(link)
        return page(_whole(shown, language, path, name, number=number, number_error=True), 422)
    except Conflict:
        pass  # it has been linked meanwhile, which the page shows
    return Redirect(path, status_code=_SEE_OTHER)


@get("/pair/{token:str}/events")
async def follow(
    request: AnyRequest, token: FromPath[str], pages: Pages, asked: Asked = ""
) -> Stream | Response[str]:
    """Server-sent events: `state` with the part of the page that changes, as HTML."""
    link = await pages.look(request, token)
    if not link.is_this_browser:
        raise Forbidden("this link belongs to another browser")
    name, client_language = await pages.name_and_language(link.client_id)
    language = language_of(request, asked, client_language)
    browser = request.cookies.get(cookie_name(token), "")
    return Stream(
        _states(pages, token, browser, language, name),
        media_type=STREAM_TYPE,
        headers={**PAGE_HEADERS, **STREAM_HEADERS},
    )


async def _states(
    pages: PairPages, token: str, browser: str, language: Language, name: str
) -> AsyncIterator[bytes]:
    """The states of the page, from the present one to a final one."""
    live = pages.pairing.watch()
    link = await pages.links.look(token, browser)
    asked, last = 0, ""
    with live.watch(link.client_id) as watch:
        view: PairingView | None = None
        while not live.closing:
            link = await pages.links.look(token, browser)
            if view is None:
                view = await pages.pairing.read(link.client_id)
            shown = showing(link, view, may_ask=asked < OWN_ROUNDS)
            if shown.screen == "preparing" and shown.waits_for_round:
                asked += 1
                await pages.ask(link.client_id)
            html = fragment(shown, language, path=f"/pair/{token}", name=name)
            same = _without_seconds(html) == last
            last = _without_seconds(html)
            yield BEAT if same else event("state", html.encode())
            if shown.is_final:
                await asyncio.sleep(BEAT_SECONDS)  # the page closes; if it does not, it may come again
                return
            view = await pages.pairing.next_view(watch, link.client_id, view, BEAT_SECONDS)


def _without_seconds(html: str) -> str:
    """What has to be pushed when it changes: the page counts the seconds itself."""
    return "\n".join(line for line in html.splitlines() if "data-left" not in line and "data-bar" not in line)


def _whole(
    shown: Showing,
    language: Language,
    path: str,
    name: str,
    *,
    number: str = "",
    number_error: bool = False,
) -> str:
    values = fragment_values(shown, language, path=path, name=name)
    return render("pair/page.html.j2", language, **values, number=number, number_error=number_error)


def _notice(screen: str, language: Language, message: str, status: int) -> Response[str]:
    html = render("pair/notice.html.j2", language, screen=screen, message=texts(language)(message))
    return page(html, status)


def _refuse_other_sites(request: AnyRequest) -> None:
    """A form of somebody else's page must not press our buttons."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Forbidden("this form belongs to another site")


def _on_error(request: AnyRequest, error: OrbitBotError) -> Response[str]:
    """Errors as pages: people read them."""
    language = language_of(request, request.query_params.get("lang", ""))
    if isinstance(error, NotFound):
        return _notice("unknown", language, "unknown.lead", error.status)
    if isinstance(error, TooManyRequests):
        response = _notice("error", language, "error.busy", error.status)
        response.headers.update(error.extra.get("headers", {}))
        response.headers["Retry-After"] = f"{error.retry_after or 1:.0f}"
        return response
    if error.status >= OrbitBotError.status:
        log.warning("answered %s: %s", error.status, error.detail, extra={"action": "pair"})
    return _notice("error", language, "error.lead", error.status)


def pair_routes(pages: PairPages) -> Router:
    """The routes of this module, with what they need."""
    return Router(
        "/",
        route_handlers=[open_page, open_link, ask_for_round, ask_for_phone_code, follow],
        dependencies={"pages": Provide(lambda: pages, sync_to_thread=False)},
        exception_handlers={OrbitBotError: _on_error},
        include_in_schema=False,
        opt={COUNTS_FAILURES: True},
    )
