#!/bin/sh
# prepare-base.sh ROOT INIT: make a freshly installed Debian fit to be every test host's lowest layer.
set -eu
root=$1
install -m 755 "$2" "$root/usr/local/sbin/test-host-init"

# No name server: hosts know each other by address, and a look-up fails at once.
rm -f "$root/etc/resolv.conf"
install -m 644 /dev/null "$root/etc/resolv.conf"

# Identity belongs to the single host: the launcher writes these, or systemd on the first boot.
: >"$root/etc/machine-id"
rm -f "$root"/etc/hostname "$root"/etc/ssh/ssh_host_* "$root"/var/lib/systemd/random-seed
rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap

# Each would hold apt's lock at a moment of its own choosing. Disabled, not masked: a role may enable them.
rm -f "$root"/etc/systemd/system/timers.target.wants/*
install -d "$root/etc/systemd/system/multi-user.target.wants"
ln -sf /lib/systemd/system/systemd-networkd.service "$root/etc/systemd/system/multi-user.target.wants/"
install -d -m 700 "$root/root/.ssh"
