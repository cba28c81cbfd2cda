#!/bin/sh
# A User-Mode Linux kernel writes to, or copies out, a COW file: no KVM and no root needed.
# Usage: tests/golden/uml.sh write COW BACKING       writes in two places, making COW if it is not there
#        tests/golden/uml.sh read COW BACKING SEEN   copies what its guest sees into the new file SEEN
# $VIRTKIT_ORACLE/uml is where oracle.sh put the kernel; busybox comes from busybox-static.
set -eu
verb=$1 cow=$2 backing=$3
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir "$place/root" "$place/root/bin" "$place/root/dev"
cp /bin/busybox "$place/root/bin/"
second=
if [ "$verb" = read ]; then
    truncate -s "$(stat -c %s "$backing")" "$4"
    second="ubd1=$4"
    work='busybox dd if=/dev/ubda of=/dev/ubdb bs=64k'
else
    work='busybox yes uml-was-here | busybox dd of=/dev/ubda bs=512 seek=200 count=37 iflag=fullblock
busybox yes and-there | busybox dd of=/dev/ubda bs=4k seek=700 count=9 iflag=fullblock'
fi
cat >"$place/root/init" <<END
#!/bin/busybox sh
export PATH=/bin
busybox mount -t devtmpfs dev /dev
$work
busybox sync
busybox poweroff -f
END
chmod +x "$place/root/init"
(cd "$place/root" && find . | cpio --quiet -o -H newc) >"$place/init.cpio"
# shellcheck disable=SC2086  # no word or one
timeout 60 "$VIRTKIT_ORACLE/uml/usr/bin/linux.uml" mem=64M "initrd=$place/init.cpio" "ubd0=$cow,$backing" $second \
    con=null con0=null,fd:1 </dev/null >"$place/log" 2>&1 || :
grep -q 'System halted' "$place/log" || { cat "$place/log" >&2; exit 1; }
