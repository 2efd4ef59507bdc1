"""A client on the neonize channel in a fleet of test hosts: owner, phone, and the local WhatsApp server."""

import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import httpx

from tests.ansible.conftest import REPOSITORY
from tests.ansible.running import BINARIES, Run
from tests.fleet.site import PERSONALITY, Site
from tests.support.api import Api
from tests.support.net import wait_for
from tests.whatsapp.core import Core
from tests.whatsapp.handle import WhatsApp
from tests.whatsapp.post import Sent

CLIENT: Final = "loja"
HOST: Final = "bots-1"
PROXY_PORT: Final = 8443  # not 443: this machine's own deployment may have that on every address
PATIENCE: Final = 90.0  # seconds; a loaded machine takes its time over 812 prekeys
LINK: Final = re.compile(r"https://\S+/pair/\S+")


@dataclass
class PairedShop:
    """What the tests do with it.

    Attributes:
        number: of the client's own phone.
    """

    site: Site
    whatsapp: WhatsApp
    number: str = "5511900000001"

    def lead(self, *, back: bool = False) -> Run:
        """Run `molecule/whatsapp.yml`: bots that are added from now on meet the local server (or not)."""
        core: Core = self.whatsapp.core
        values = {
            "local_whatsapp_state": "absent" if back else "present",
            "local_whatsapp_proxy": f"http://{self.site.fleet.plan.gateway}:{self.whatsapp.port}",
            "local_whatsapp_authority": core.authority.read_text(),
            "local_whatsapp_root_key": core.keys.root.public.hex(),
        }
        program = [
            str(BINARIES / "ansible-playbook"),
            "-i",
            str(self.site.inventory),
            "molecule/whatsapp.yml",
        ]
        done = subprocess.run(
            [*program, "-e", json.dumps(values)],
            cwd=REPOSITORY,
            env=self.site.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        return Run(done.returncode, done.stdout)

    def add(self, **more: Any) -> Run:
        """Run `add-client.yml`, on the default channel."""
        return self.site.play("add-client", client=CLIENT, host=HOST, settings_file=PERSONALITY, **more)

    @cached_property
    def api(self) -> Api:
        """The REST API as the operator; closed with the shop."""
        with Api(f"https://{self.site.address('gateway-1')}", self.site.authority) as door:
            return door.as_operator(self.site.secrets["vault_operator_password"])

    def state(self) -> str:
        """The bot's state by the API."""
        return str(self.api.client(CLIENT).bot_state)

    def wait_for_state(self, *states: str) -> str:
        """Until the API names one of these."""
        return wait_for(
            lambda: found if (found := self.state()) in states else "", " or ".join(states), PATIENCE
        )

    def code(self) -> str:
        """The code that is shown, once there is one and somebody waits for its scan."""

        def shown() -> str:
            view = self.api.http.get(f"/api/clients/{CLIENT}/pairing").raise_for_status().json()
            return str(view.get("code") or "") if view["phase"] == "qr" else ""

        return wait_for(shown, "a code", PATIENCE)

    def scan(self) -> None:
        """The owner scans the code that is shown; returns when the API says that the bot is connected."""
        wait_for(self._scan, "the phone has scanned a code", PATIENCE)
        self.wait_for_state("connected")
        wait_for(lambda: self.whatsapp.is_ready(self.number), "people can write to it", PATIENCE)

    def _scan(self) -> bool:
        try:
            self.whatsapp.scan(self.code(), self.number)
        except LookupError:  # the code has passed meanwhile
            return False
        return True

    def metrics(self) -> str:
        """What Prometheus gets of a gateway."""
        url = f"http://{self.site.mesh['gateway-1']}:3000/metrics"
        program = f"import urllib.request; print(urllib.request.urlopen('{url}').read().decode())"
        return self.site.fleet.ssh("gateway-1", f'python3 -c "{program}"')

    def answers(self, number: str) -> list[Sent]:
        """What a contact got, decrypted by the contact's phone."""
        return [each for each in self.whatsapp.sent(self.number) if each.to == number]

    def browser(self) -> httpx.Client:
        """Somebody's browser, which trusts the fleet's authority."""
        return httpx.Client(
            base_url=self.api.base_url,
            verify=ssl.create_default_context(cafile=self.api.ca_file),
            timeout=30,
            trust_env=False,
            follow_redirects=True,
            headers={"Accept-Language": "pt-BR", "Origin": self.api.base_url},
        )


@contextmanager
def paired_shop(site: Site) -> Iterator[PairedShop]:
    """The server, and hosts that lead there; afterwards the client is gone, the hosts are as before."""
    with WhatsApp(site.fleet.plan.gateway, PROXY_PORT) as whatsapp:
        shop = PairedShop(site, whatsapp)
        try:
            shop.lead().require_success()
            yield shop
        finally:
            if CLIENT in {each["id"] for each in shop.api.http.get("/api/clients").json()["clients"]}:
                site.play("remove-client", client=CLIENT, purge="yes").require_success()
            shop.api.http.close()
            shop.lead(back=True).require_success()
        assert whatsapp.unreadable() == []
