#!/bin/sh
# Makes the other tools that golden images are made and read with: QEMU 10 from Debian 13, VirtualBox from Debian sid,
# a User-Mode Linux kernel.
# Usage, as root: tests/golden/oracle.sh DIRECTORY      (then: export VIRTKIT_ORACLE=DIRECTORY)
set -eu
place=$1
mirror=http://deb.debian.org/debian
mkdir -p "$place"
if ! [ -x "$place/trixie/usr/bin/qemu-img" ]; then
    mmdebstrap --quiet --variant=minbase --include=qemu-utils trixie "$place/trixie" $mirror
fi
if ! [ -x "$place/sid/usr/lib/virtualbox/VBoxManage" ]; then
    # the package of VirtualBox wants a kernel module and a desktop; its disk tools need neither
    # shellcheck disable=SC2016  # mmdebstrap gives the hooks their $1
    mmdebstrap --quiet --aptopt='Acquire::Check-Valid-Until "false"' --variant=minbase --components=main,contrib \
        --include=ca-certificates,liblzf1,libxml2-16,libcurl3t64-gnutls,libpng16-16t64,libogg0,libvorbis0a,libvorbisenc2,libvpx12 \
        --customize-hook='cp /etc/resolv.conf "$1/etc/"' \
        --customize-hook='chroot "$1" sh -ec "cd /tmp; apt-get -q download virtualbox; dpkg -x virtualbox_*.deb /; rm virtualbox_*.deb"' \
        sid "$place/sid" $mirror
fi
if ! [ -x "$place/uml/usr/bin/linux.uml" ]; then
    mkdir -p "$place/uml"
    (cd "$place/uml" && apt-get -q download user-mode-linux && dpkg -x user-mode-linux_*.deb . && rm user-mode-linux_*.deb)
fi
for root in trixie sid; do
    mkdir -p "$place/$root/work"
    [ -e "$place/$root/proc/self" ] || mount -t proc proc "$place/$root/proc"
done
chroot "$place/trixie" qemu-img --version | head -n 1
echo "VirtualBox $(HOME=/root chroot "$place/sid" /usr/lib/virtualbox/VBoxManage --version | tail -n 1)"
