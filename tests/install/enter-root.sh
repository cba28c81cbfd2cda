#!/bin/sh
# Fits out a root with mounts and devices and runs first-user.sh in it; called by fresh-root.sh in new namespaces.
set -eu
root=$1

device() { # name, c or b, major, minor
    mknod -m 666 "$root/dev/$1" "$2" "$3" "$4"
}

mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys"
for place in dev run tmp; do mount -t tmpfs fresh "$root/$place"; done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/net"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs fresh "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
# numbers: https://docs.kernel.org/admin-guide/devices.html
device null c 1 3
device zero c 1 5
device full c 1 7
device random c 1 8
device urandom c 1 9
device tty c 5 0
device net/tun c 10 200
[ ! -e /dev/kvm ] || device kvm c 10 232
device loop-control c 10 237
for number in 0 1 2 3 4 5 6 7; do device "loop$number" b 7 "$number"; done
hostname fresh
env -i HOME=/root TERM="${TERM:-dumb}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$root" sh /opt/first-user.sh
