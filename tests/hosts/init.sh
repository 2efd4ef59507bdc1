#!/bin/sh
# PID 1 of a test host until systemd takes over. systemd-nspawn mounts the version 1 control group
# hierarchies read-only; systemd would then accept MemoryMax= and the like and silently do nothing.
for hierarchy in /sys/fs/cgroup/*; do
    if mountpoint --quiet "$hierarchy"; then
        mount -o remount,bind,rw "$hierarchy"
    fi
done
exec /lib/systemd/systemd "$@"
