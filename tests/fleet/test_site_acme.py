"""Certificates by ACME: `site.yml` gets them from a real ACME server by http-01; two gateways, one name."""

import json
import socket
import ssl
from pathlib import Path

import pytest

from tests.fleet.pebble import pebble
from tests.fleet.site import Site

pytestmark = [pytest.mark.fleet, pytest.mark.long, pytest.mark.timeout(1800)]

NAME = "bots.test"
VARIABLES = "group_vars/all/zzz-acme.yml"
AUTHORITY = "/etc/ssl/pebble.crt"
ONLY_GATEWAYS = ("--limit", "gateway:localhost")  # nobody else has a part in it


def issuer(site: Site, host: str, name: str, authority: str) -> str:
    """Who signed the certificate that a gateway shows for `name`; it must hold against `authority` (PEM)."""
    context = ssl.create_default_context(cadata=authority)
    with (
        socket.create_connection((site.address(host), 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        found = secure.getpeercert()
    assert found is not None
    return str(found["issuer"])


def serial(site: Site, host: str) -> str:
    """The number of the certificate that a gateway's nginx is told to show."""
    return site.fleet.ssh(host, "openssl x509 -serial -noout -in /etc/orbitbot/tls/server.crt")


def test_every_gateway_gets_its_certificate_and_keeps_it(site: Site, tmp_path: Path) -> None:
    gateways = site.group("gateway")
    with pebble(site.fleet.plan.gateway, site.address(gateways[0]), tmp_path) as acme:
        for host in gateways:
            pem = acme.certificate.read_text()
            site.fleet.ssh(
                host, f"echo '{pem}' >{AUTHORITY} && echo '{site.address(gateways[0])} {NAME}' >>/etc/hosts"
            )
        variables = {
            "orbitbot_certificates": "acme",
            "orbitbot_domain": NAME,
            "orbitbot_public_authority": acme.authority,
            "tls_names": [NAME],
            "tls_acme_server": acme.directory,
            "tls_acme_server_authority": AUTHORITY,
        }
        (site.inventory / VARIABLES).write_text(json.dumps(variables))
        try:
            site.play("site", *ONLY_GATEWAYS).require_success()
            for host in gateways:
                assert issuer(site, host, NAME, acme.authority).count("Pebble")
            site.play("site", *ONLY_GATEWAYS).require_success().require_changes(0)
            before = serial(site, gateways[1])
            site.fleet.ssh(
                gateways[1],
                f"REQUESTS_CA_BUNDLE={AUTHORITY} certbot renew --force-renewal -q --no-random-sleep-on-renew",
                timeout=120,
            )
            assert serial(site, gateways[1]) != before
        finally:
            (site.inventory / VARIABLES).unlink()
            site.play("site", *ONLY_GATEWAYS).require_success()
            for host in gateways:
                site.fleet.ssh(
                    host, f"certbot delete -n --cert-name orbitbot; sed -i '/ {NAME}$/d' /etc/hosts"
                )
    domain = site.address(gateways[0])
    assert "Pebble" not in issuer(site, gateways[1], domain, site.secrets["vault_tls_ca_certificate"])
