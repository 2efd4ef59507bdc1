"""From a request to a fleet: its images first, then its hosts."""

import shutil
from pathlib import Path

from tests.hosts.fleet import Fleet
from tests.hosts.images import BaseRecipe, Images, LayerRecipe, base_recipe, build_base
from tests.hosts.machine import IDENTITY
from tests.hosts.packages import PackageCache
from tests.hosts.plan import FleetRequest, HostRequest, cache_address
from tests.hosts.store import Store

_INSTALL_TIMEOUT = 900.0  # seconds
_INSTALL = (
    "export DEBIAN_FRONTEND=noninteractive; "
    "apt-get update -qq && apt-get install -qq -y --no-install-recommends"
)


def launch(request: FleetRequest, store: Store | None = None) -> Fleet:
    """Create the fleet, building first what it stands on and is not there yet.

    Raises:
        HostsError: see `Fleet.create`; or an image could not be built.
    """
    store = store or Store()
    return Fleet.create(store, request, layers(store, request))


def layers(store: Store, request: FleetRequest) -> tuple[Path, ...]:
    """The read-only folders of the request's hosts, topmost first."""
    base = base_recipe(request.release)
    bottom = _base(store, base, request.supernet)
    if not request.packages:
        return (bottom,)
    recipe = LayerRecipe.of(base, request.packages)
    top = Images(store).get(recipe.name, lambda folder: _bake(store, recipe, request, bottom, folder))
    return top, bottom


def _base(store: Store, recipe: BaseRecipe, supernet: str) -> Path:
    def build(folder: Path) -> None:
        with PackageCache(store).used(cache_address(supernet)) as proxy:
            build_base(recipe, proxy, folder)

    return Images(store).get(recipe.name, build)


def _bake(store: Store, recipe: LayerRecipe, request: FleetRequest, base: Path, folder: Path) -> None:
    """Install the packages on a host of their own and keep what it wrote, without its identity."""
    name = f"bake-{recipe.name}"
    remove(store, name)  # from a build that was killed; nobody else is here, the image is locked
    wanted = FleetRequest(name=name, hosts=(HostRequest("bake"),), supernet=request.supernet)
    fleet = Fleet.create(store, wanted, (base,))
    try:
        fleet.ssh(
            "bake", f"{_INSTALL} {' '.join(recipe.packages)} && apt-get clean", timeout=_INSTALL_TIMEOUT
        )
        fleet.stop("bake")
        machine = fleet.machine(fleet.plan.host("bake"))
        machine.unmount()
        for path in IDENTITY:
            _delete(machine.disk / path)
        machine.disk.rename(folder)
    finally:
        fleet.remove()


def remove(store: Store, name: str) -> bool:
    """Remove the fleet called `name`; False when there was none."""
    known = name in {plan.name for plan in store.plans()}
    if known:
        Fleet.load(store, name).remove()
    store.forget(name)  # the folder of one that was never planned through
    return known


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
