#!/bin/sh
# Fits out a root with mounts and devices, and goes there for good; called by fresh-root.sh in new namespaces.
set -eu
root=$1
shift

device() { # name, c or b, major, minor
    mknod -m 666 "dev/$1" "$2" "$3" "$4"
}

mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs sys sys
for place in dev tmp; do mount -t tmpfs fresh "$place"; done
mkdir dev/pts dev/shm dev/net
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs fresh dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
# numbers: https://docs.kernel.org/admin-guide/devices.html; no kvm: the guests are emulated, everywhere alike
device null c 1 3
device zero c 1 5
device full c 1 7
device random c 1 8
device urandom c 1 9
device tty c 5 0
device net/tun c 10 200
device loop-control c 10 237
for number in 0 1 2 3 4 5 6 7; do device "loop$number" b 7 "$number"; done
hostname fresh
# chroot alone would not do: setns(2) takes libvirt and ip to the root of a mount namespace, which was the machine's,
# and there libvirt lays out devices for its guests
mkdir .machine
pivot_root . .machine
# shellcheck disable=SC2016  # expanded in the root
exec env -i HOME=/root TERM="${TERM:-dumb}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    chroot . sh -eu -c '
        umount -l /.machine
        rmdir /.machine
        sh /opt/first-set-up.sh "$@"
        exec unshare --net --mount sh /opt/first-user.sh "$@"
    ' sh "$@"
