"""The pairing page in a real Chromium, with the real gateway and the real bot on the simulator.

Set ORBITBOT_SCREENSHOTS to a folder to keep a picture of every state, in both languages and sizes.
"""

import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from orbitbot.bot.channels.simulator_account import SimulatorAccount
from tests.browser.conftest import NUMBER, Shop
from tests.support.browser import Browser, read_qr
from tests.support.net import wait_for

OpenShop = Callable[..., Shop]
Browse = Callable[..., Browser]


def keep(browser: Browser, name: str) -> None:
    """Keep a picture where they are wanted."""
    if folder := os.environ.get("ORBITBOT_SCREENSHOTS"):
        browser.screenshot(Path(folder) / f"{name}.png")


def begin(browser: Browser, shop: Shop) -> None:
    """Open a new link and press its button."""
    browser.open(shop.link())
    browser.click("main form button")


def test_from_the_link_to_a_connected_phone(open_shop: OpenShop, browse: Browse, tmp_path: Path) -> None:
    shop, browser = open_shop(), browse(language="pt-BR", width=390, height=844)
    browser.open(shop.link())
    assert "Padaria Sol" in browser.text()
    assert browser.run("return document.documentElement.lang") == "pt-BR"
    keep(browser, "phone-pt-landing")
    browser.click("main form button")
    browser.wait_for_screen("qr")
    seen = read_qr(browser.screenshot(tmp_path / "qr.png"))
    assert seen == shop.pairing()["code"] != ""
    left = int(browser.text("[data-left]"))
    assert 0 < left <= 60
    wait_for(lambda: int(browser.text("[data-left]")) < left, "the seconds go down")
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    keep(browser, "phone-pt-qr")
    shop.phone.link(seen)
    browser.wait_for_screen("connected")
    assert "WhatsApp conectado" in browser.title
    assert "+55 11 91234-5678" in browser.text()
    assert "conectado" in browser.text("#announce")
    assert not browser.has("#phone")
    keep(browser, "phone-pt-connected")
    assert browser.console() == []
    ours = shop.gateway.services[0].url
    assert all(each.startswith(ours) for each in browser.requests()), browser.requests()
    again = browser.url
    browser.open(again)  # the link has done its work, and says so in its own browser
    browser.wait_for_screen("connected")


def test_a_code_that_is_typed(open_shop: OpenShop, browse: Browse) -> None:
    shop, browser = open_shop(), browse(language="en-GB")
    begin(browser, shop)
    browser.wait_for_screen("qr")
    assert "Scan the code" in browser.title
    keep(browser, "desktop-en-qr")
    browser.type("#number", "12")
    browser.click("#phone button")
    browser.wait_for("#number-error")
    assert browser.run("return document.querySelector('#number').getAttribute('aria-invalid')") == "true"
    assert browser.run("return document.querySelector('#number').value") == "12"
    keep(browser, "desktop-en-wrong-number")
    (error,) = browser.console()
    assert "422" in error  # the browser notes the refused form, and nothing else
    browser.run("document.querySelector('#number').value = ''")
    browser.type("#number", "(11) 91234-5678")
    browser.click("#phone button")
    browser.wait_for_screen("phone_code")
    code = shop.wait_for("phone_code")["code"]
    assert browser.text(".typed").replace("-", "").strip() == code
    assert "+55 11 91234-5678" in browser.text()
    keep(browser, "desktop-en-phone-code")
    shop.phone.link(code)
    browser.wait_for_screen("connected")
    keep(browser, "desktop-en-connected")
    assert browser.console() == []


def test_codes_refresh_and_rounds_follow_by_themselves(open_shop: OpenShop, browse: Browse) -> None:
    quick = SimulatorAccount(codes=2, first_seconds=4.0, later_seconds=4.0)
    shop, browser = open_shop(quick), browse()
    begin(browser, shop)
    codes = "return document.querySelector('.qr-box svg')?.innerHTML ?? ''"
    seen: set[str] = set()

    def look() -> bool:
        seen.add(browser.run(codes))
        return len(seen - {""}) >= 4

    wait_for(look, "four codes of two rounds, all different", 120)
    assert shop.pairing()["round"] >= 2
    assert browser.console() == []


def test_after_some_rounds_the_reader_is_asked(open_shop: OpenShop, browse: Browse) -> None:
    quick = SimulatorAccount(codes=1, first_seconds=0.5)
    shop, browser = open_shop(quick), browse(width=390, height=844)
    begin(browser, shop)
    browser.wait_for_screen("round_over", timeout=60)
    keep(browser, "phone-pt-round-over")
    rounds = shop.pairing()["round"]
    assert browser.has("#phone")
    browser.click('[data-screen="round_over"] button')
    wait_for(lambda: shop.pairing()["round"] > rounds, "another round", 30)


def test_heartbeats_and_a_lost_gateway_leave_the_page_alive(open_shop: OpenShop, browse: Browse) -> None:
    shop, browser = open_shop(), browse()
    begin(browser, shop)
    browser.wait_for_screen("qr")
    beats = "return performance.now()"
    until = browser.run(beats) + 17_000  # milliseconds: one heartbeat at least
    wait_for(lambda: browser.run(beats) > until, "a heartbeat has passed", 60)
    assert browser.console() == []
    assert browser.has('[data-screen="qr"]')
    gateway = shop.gateway.services[0]
    gateway.stop()
    browser.wait_for("#lost")
    keep(browser, "desktop-pt-lost")
    gateway.start()
    gateway.wait_ready()
    wait_for(lambda: not browser.has("#lost"), "the page has found its way back", 60)
    shop.phone.link(shop.wait_for("qr")["code"])
    browser.wait_for_screen("connected", timeout=60)


def test_a_bot_that_is_away_and_comes(open_shop: OpenShop, browse: Browse) -> None:
    shop, browser = open_shop(start=False), browse(width=390, height=844, scheme="dark")
    begin(browser, shop)
    browser.wait_for_screen("away")
    keep(browser, "phone-pt-dark-away")
    shop.bot.start()
    browser.wait_for_screen("qr")
    keep(browser, "phone-pt-dark-qr")
    background = browser.run("return getComputedStyle(document.querySelector('.qr-box')).backgroundColor")
    assert background == "rgb(255, 255, 255)"  # cameras want black on white, in the dark, too
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(13, 20, 18)"
    assert browser.console() == []


@pytest.mark.parametrize(
    ("told", "screen", "says"),
    [
        (("passkey_required", None), "passkey", "passkey"),
        (("banned", None), "banned", "bloqueou este número"),
        (("client_outdated", None), "outdated", "atualização"),
        (("waiting_for_pairing", "too_many_attempts"), "failed", "Espere uma hora"),
        (("waiting_for_pairing", "phone_code_refused"), "failed", "Confira o número"),
    ],
)
def test_what_goes_wrong_is_explained(
    open_shop: OpenShop, browse: Browse, told: tuple[str, str | None], screen: str, says: str
) -> None:
    state, event = told
    shop, browser = open_shop(start=False), browse(width=390, height=844)
    bot, base = shop.client.bot, f"/api/clients/{shop.client.id}/bot"
    bot.put(base, json={"state": state, "channel": "neonize", "release": "1"}).raise_for_status()
    if event:
        bot.put(f"{base}/pairing", json={"phase": "failed", "reason": event}).raise_for_status()
    begin(browser, shop)
    browser.wait_for_screen(screen)
    assert says in browser.text()
    keep(browser, f"phone-pt-{screen}-{event or state}")
    assert browser.console() == []


def test_a_link_opens_in_one_browser(open_shop: OpenShop, browse: Browse) -> None:
    shop, first, second = open_shop(), browse(), browse(language="en", width=390, height=844)
    url = shop.link()
    preview = httpx.get(url, trust_env=False)  # a chat program that previews the link uses nothing up
    assert preview.status_code == 200
    assert "set-cookie" not in preview.headers
    first.open(url)
    first.click("main form button")
    first.wait_for_screen("qr")
    second.open(url)
    assert "already opened" in second.text()
    assert not second.has("svg.qr")
    keep(second, "phone-en-other-browser")
    stolen = httpx.get(f"{url}/events", trust_env=False)
    assert stolen.status_code == 403
    newer = shop.link()
    first.wait_for_screen("replaced")
    keep(first, "desktop-pt-replaced")
    shop.gateway.sql("UPDATE pairing_links SET expires_at = now() WHERE client_id = %s", shop.client.id)
    second.open(newer)
    assert "expired" in second.text()
    keep(second, "phone-en-expired")
    second.open(f"{url}x")
    assert "Link not found" in second.text()
    keep(second, "phone-en-unknown")


def test_the_language_can_be_switched_and_is_remembered(open_shop: OpenShop, browse: Browse) -> None:
    shop, browser = open_shop(), browse(language="pt-BR")
    begin(browser, shop)
    browser.wait_for_screen("qr")
    browser.click("a.language")
    browser.wait_for_screen("qr")
    assert "Scan the code" in browser.text()
    address = browser.url.partition("?")[0]
    browser.open(address)
    assert "Scan the code" in browser.text()
    assert NUMBER not in browser.text()


def test_it_can_be_used_without_a_mouse_and_by_screen_readers(open_shop: OpenShop, browse: Browse) -> None:
    shop, browser = open_shop(), browse()
    begin(browser, shop)
    browser.wait_for_screen("qr")
    problems = browser.run(
        """
        const problems = [];
        if (document.querySelectorAll("h1").length !== 1) problems.push("not one h1");
        for (const field of document.querySelectorAll("input"))
          if (!field.labels.length) problems.push("a field without a label: " + field.name);
        for (const picture of document.querySelectorAll("svg:not([aria-hidden])"))
          if (!picture.querySelector("title")?.textContent) problems.push("a picture without a name");
        for (const each of document.querySelectorAll("a, button"))
          if (!each.textContent.trim()) problems.push("a control without a name");
        for (const each of document.querySelectorAll("button, input"))
          if (each.getBoundingClientRect().height < 44) problems.push("small: " + each.outerHTML);
        for (const landmark of ["main", "header", "nav", "[role=status]"])
          if (!document.querySelector(landmark)) problems.push("there is no " + landmark);
        return problems;
        """
    )
    assert problems == []
    for scheme in ("light", "dark"):
        assert contrast_problems(browse(scheme=scheme), shop) == []


def contrast_problems(browser: Browser, shop: Shop) -> list[str]:
    """Texts whose contrast with what lies behind them is below WCAG's 4.5."""
    browser.open(shop.link())
    found: list[str] = browser.run(
        """
        const parts = (c) => c.match(/[\\d.]+/g).map(Number);
        const light = (c) => parts(c).slice(0, 3).map((v) => v / 255)
          .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
          .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = (e) => {
          for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor;
            if (parts(c).length === 3 || parts(c)[3] > 0) return c;
          }
          return "rgb(255, 255, 255)";
        };
        const bad = [];
        for (const e of document.querySelectorAll("h1, p, li, a, b, button, label, span.brand")) {
          if (!e.textContent.trim() || e.closest(".hidden-text, .skip")) continue;
          const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
          const ratio = (a + 0.05) / (b + 0.05);
          if (ratio < 4.5) bad.push(e.tagName + e.textContent.trim().slice(0, 30) + ratio);
        }
        return bad;
        """
    )
    return found


def test_headers_let_the_page_load_nothing_else(open_shop: OpenShop) -> None:
    shop = open_shop(start=False)
    url = shop.link()
    answer = httpx.get(url, trust_env=False)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("same-origin", "no-store")
    refused = httpx.post(url, headers={"Sec-Fetch-Site": "cross-site"}, trust_env=False)
    assert refused.status_code == 403
    assert shop.gateway.sql(
        "SELECT count(*) FROM pairing_links WHERE client_id = %s AND opened_at IS NOT NULL", shop.client.id
    ) == [(0,)]
