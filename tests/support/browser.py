"""A real Chromium, driven by Debian's chromedriver over the WebDriver protocol (W3C), which is plain JSON."""

import base64
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final, Literal

import httpx

from tests.support.net import free_port, wait_for

START_TIMEOUT: Final = 60.0  # seconds; a loaded machine starts a browser slowly
COMMAND_TIMEOUT: Final = 60.0  # seconds
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver's own key

Scheme = Literal["light", "dark"]


class Browser:
    """One browser window; use it with `with`.

    Args:
        language: what `Accept-Language` says.
        width, height: of the page, in CSS pixels; below 600 it is a telephone.
    """

    def __init__(
        self, directory: Path, *, language: str = "pt-BR", width: int = 1280, height: int = 900,
        scheme: Scheme = "light",
    ) -> None:  # fmt: skip
        for program in ("chromium", "chromedriver"):
            if shutil.which(program) is None:
                raise FileNotFoundError(
                    "these tests need Debian's packages `chromium` and `chromium-driver`: run `make test`,"
                    " which installs them"
                )
        self._directory = directory
        # Short: Chromium makes a Unix socket in it, whose whole path may have 107 characters.
        self._profile = Path(tempfile.mkdtemp(prefix="orbitbot-browser-"))
        self._language = language
        self._size = (width, height)
        self._scheme = scheme
        self._driver: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(timeout=COMMAND_TIMEOUT, trust_env=False)
        self._session = ""

    def __enter__(self) -> "Browser":
        port = free_port()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={port}", f"--log-path={self._directory}/chromedriver.log"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(self._profile)},
        )
        self._http.base_url = httpx.URL(f"http://127.0.0.1:{port}")
        wait_for(self._is_ready, "chromedriver answers", START_TIMEOUT)
        width, height = self._size
        options = {
            "args": [
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                f"--user-data-dir={self._profile}/profile",
                f"--accept-lang={self._language}",
                f"--window-size={max(width, 500)},{height}",
            ],
        }
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/session/{made['sessionId']}"
        is_phone = width < 600
        self._devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if is_phone else 1, mobile=is_phone,
        )  # fmt: skip
        if is_phone:
            self._devtools("Emulation.setTouchEmulationEnabled", enabled=True)
        self._devtools(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": self._scheme}]
        )
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._session:
                self._call("DELETE", self._session)
        finally:
            self._http.close()
            if self._driver is not None:
                self._driver.terminate()
                self._driver.wait(timeout=30)
            shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, url: str) -> None:
        """Go to an address and wait until it has loaded."""
        self._call("POST", f"{self._session}/url", {"url": url})

    @property
    def url(self) -> str:
        """Where the window is."""
        found: str = self._call("GET", f"{self._session}/url")
        return found

    @property
    def title(self) -> str:
        """The page's title."""
        found: str = self._call("GET", f"{self._session}/title")
        return found

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": arguments})

    def text(self, selector: str = "main") -> str:
        """The visible text of an element; empty if there is none."""
        found: str = self.run(
            "const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", selector
        )
        return found

    def has(self, selector: str) -> bool:
        """Whether such an element can be seen."""
        return bool(
            self.run(
                "const e = document.querySelector(arguments[0]);"
                "return e !== null && e.getClientRects().length > 0",
                selector,
            )
        )

    def click(self, selector: str) -> None:
        """Click an element as a mouse does."""
        self._call("POST", f"{self._session}/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Type into an element."""
        self._call("POST", f"{self._session}/element/{self._find(selector)}/value", {"text": text})

    def wait_for(self, selector: str, *, timeout: float = 30.0) -> None:
        """Wait until such an element can be seen."""
        wait_for(lambda: self.has(selector), f"{selector} can be seen", timeout)

    def wait_for_screen(self, screen: str, *, timeout: float = 30.0) -> None:
        """Wait for a state of the pairing page."""
        wait_for(
            lambda: self.has(f'[data-screen="{screen}"]'),
            f"the screen {screen}",
            timeout,
        )

    def screenshot(self, path: Path) -> Path:
        """The whole page as it looks, as PNG."""
        taken = self._devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(taken["data"]))
        return path

    def console(self) -> list[str]:
        """What the browser has written to its console since the last look, warnings and errors included."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [f"{entry['level']}: {entry['message']}" for entry in entries]

    def requests(self) -> list[str]:
        """The addresses from which the page loaded something."""
        found: list[str] = self.run("return performance.getEntriesByType('resource').map(e => e.name)")
        return found

    def _find(self, selector: str) -> str:
        found = self._call("POST", f"{self._session}/element", {"using": "css selector", "value": selector})
        element: str = found[_ELEMENT]
        return element

    def _devtools(self, command: str, **parameters: Any) -> Any:
        return self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _is_ready(self) -> bool:
        try:
            return bool(self._http.get("/status").json()["value"]["ready"])
        except httpx.TransportError:
            return False

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(method, path, json=body)
        value = answer.json()["value"]
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {value['error']}: {value['message'][:500]}")
        return value


def read_qr(picture: Path) -> str:
    """What a camera reads in a picture; empty if it finds no QR code."""
    if shutil.which("zbarimg") is None:
        raise FileNotFoundError("this test needs Debian's package `zbar-tools`: run `make test`")
    done = subprocess.run(
        ["zbarimg", "--quiet", "--raw", "--nodbus", "-Sdisable", "-Sqrcode.enable", str(picture)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.stdout.rstrip("\n")
