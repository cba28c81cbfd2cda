#!/bin/sh
# Makes the disks beside this script: sfdisk, parted and sgdisk (Debian 12) write partition tables, xz packs them.
# index.json says what "sfdisk --json" reads from them.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
disk() { truncate -s 16M "$work/$1"; }

disk mbr-logical
sfdisk -q "$work/mbr-logical" <<'EOF'
label: dos
start=2048, size=4096, type=83, bootable
start=6144, size=2048, type=82
start=8192, size=20480, type=5
start=10240, size=2048, type=83
start=14336, size=4096, type=83
start=20480, size=2048, type=8e
EOF
disk gpt-sfdisk
sfdisk -q "$work/gpt-sfdisk" <<'EOF'
label: gpt
start=2048, size=4096, type=U, name="EFI system"
start=6144, size=10240, type=L, name="Wurzel ä"
EOF
disk gpt-parted
parted -s "$work/gpt-parted" mklabel gpt mkpart boot ext4 1MiB 5MiB mkpart data ext4 5MiB 12MiB set 1 esp on
disk gpt-sgdisk
sgdisk --set-alignment=1 -n 1:40:100 -n 5:200:30000 -t 5:8e00 -c 5:lvm "$work/gpt-sgdisk" >/dev/null

{
    printf '{'
    between=
    for name in mbr-logical gpt-sfdisk gpt-parted gpt-sgdisk; do
        printf '%s"%s": ' "$between" "$name"
        sfdisk --json "$work/$name" | sed "s|$work/||g"
        between=,
        xz -9e -c "$work/$name" >"$name.xz"
    done
    printf '}\n'
} >index.json
