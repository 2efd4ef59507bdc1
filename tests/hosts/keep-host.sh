#!/bin/sh
# keep-host.sh CGROUP... -- COMMAND...: run a host's container, and again when the host has rebooted itself.
# The control groups come first, so that the container is born into them.
set -eu
while [ "$1" != -- ]; do
    echo $$ >"$1/cgroup.procs"
    shift
done
shift
while :; do
    status=0
    "$@" || status=$?
    [ "$status" = 133 ] || exit "$status" # 133: systemd-nspawn leaves the restart to its caller
done
