"""Backups in a bucket: pgBackRest and restic with a small S3 server over TLS, and each way back from it."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.backups import Backups
from tests.fleet.site import Site
from tests.support import s3_server
from tests.support.net import wait_for

pytestmark = [pytest.mark.fleet, pytest.mark.faults, pytest.mark.timeout(2400)]

SERVER, DATABASE = "backup-1", "everything-1"
NAME, PORT, BUCKET = "s3.example.test", 9443, "orbitbot-backups"
KEY, SECRET = "AKIAORBITBOTTEST", "a-secret-of-the-tests"
AUTHORITY = "/usr/local/share/s3-authority.pem"  # on every host
FOLDER = "/var/tmp/s3"
CERTIFY = (
    f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={NAME}"
    f" -addext subjectAltName=DNS:{NAME} -keyout {FOLDER}/key.pem -out {FOLDER}/certificate.pem"
)
SERVE = (
    f"systemd-run --unit=s3 python3 {FOLDER}/server.py {FOLDER}/objects {PORT} {FOLDER}/certificate.pem"
    f" {FOLDER}/key.pem {KEY} {SECRET}"
)
OPEN = f"nft insert rule inet orbitbot input tcp dport {PORT} accept"


@pytest.fixture(scope="module")
def backups(alone: Site) -> Backups:
    return Backups(alone)


@pytest.fixture(scope="module", autouse=True)
def bucket(alone: Site, backups: Backups) -> Iterator[None]:
    """The server on a host, and the inventory that names it; later the repositories are on a host again."""
    source = shlex.quote(Path(s3_server.__file__).read_text())
    backups.on(SERVER, f"mkdir -p {FOLDER} && printf %s {source} >{FOLDER}/server.py && {CERTIFY} && {SERVE}")
    certificate = backups.on(SERVER, f"cat {FOLDER}/certificate.pem")
    for host in alone.hosts:
        backups.on(
            host, f"echo '{alone.mesh[SERVER]} {NAME}' >>/etc/hosts; echo '{certificate}' >{AUTHORITY}"
        )
    keys = {"key": KEY, "key_secret": SECRET, "ca_file": AUTHORITY}
    service = {"bucket": BUCKET, "endpoint": NAME, "region": "us-east-1", "port": PORT, "uri_style": "path"}
    variables = alone.inventory / "group_vars/all/zzz-s3.yml"
    variables.write_text(
        json.dumps({
            "pgbackrest_s3": service | keys,
            "backup_s3": {"url": f"s3:https://{NAME}:{PORT}/{BUCKET}/restic"} | keys,
        })
    )  # fmt: skip
    backups.on(SERVER, OPEN)
    try:
        alone.play("site").require_success()
        alone.play("site").require_success().require_changes(0)
        yield
    finally:
        variables.unlink()
        for host in alone.hosts:
            backups.on(host, f"sed -i /{NAME}/d /etc/hosts; rm -f {AUTHORITY}")
        backups.on(SERVER, f"systemctl stop s3; rm -rf {FOLDER}; systemctl reload-or-restart nftables")
        alone.play("site").require_success()


def stored(backups: Backups) -> set[str]:
    """The first two parts of the keys in the bucket."""
    keys = backups.on(SERVER, f"cat {FOLDER}/objects/*.key | sed 's,{BUCKET}/,\\n,g'").split()
    return {"/".join(key.strip("/").split("/")[:2]) for key in keys}


def test_everything_is_backed_up_to_the_bucket_and_restored_from_it(alone: Site, backups: Backups) -> None:
    assert alone.say("padaria", "Bom dia")
    delivered = "SELECT count(*) FROM turns WHERE state = 'delivered'"
    wait_for(lambda: int(backups.sql(delivered)) > 0, "delivered", 60)
    said = alone.play("backup", full="yes").require_success().output
    assert "database: full backup" in said
    assert {"restic/everything-1", "restic/backup-1"} <= stored(backups)
    assert any("pgbackrest" in place or "var/backups" in place for place in stored(backups)), stored(backups)
    rows = backups.turns()
    backups.sql("DROP TABLE exchanges CASCADE")
    alone.play("restore", to="dump").require_success()
    assert int(backups.sql("SELECT count(*) FROM exchanges")) > 0
    alone.play("restore", to="latest").require_success()
    assert backups.turns() == rows
    assert alone.say("padaria", "Bom dia")


def test_a_bucket_that_is_gone_is_noticed(backups: Backups) -> None:
    backups.on(SERVER, "systemctl stop s3")
    try:
        assert backups.refused(DATABASE, "run", "files")
        assert "failed: " in backups.refused(DATABASE, "status")
    finally:
        backups.on(SERVER, f"systemctl reset-failed s3; {SERVE}")
    backups.job(DATABASE, "run", "files")


def test_the_drill_restores_from_the_bucket(alone: Site, backups: Backups) -> None:
    alone.play("backup", full="yes").require_success()
    assert "a question was answered" in alone.play("restore-drill").require_success().output
