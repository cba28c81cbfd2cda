#!/bin/sh
# Takes this working tree to a new Debian root and runs it there as its first user would: set-up, program, tests.
# Usage, as root: tests/install/fresh-root.sh RELEASE [OPTION OF mmdebstrap ...]      RELEASE: bookworm or trixie
# All mounts and processes live in namespaces that end with this script. /dev is made for it and /sys comes without
# control groups, so that nothing in there can change the host's device nodes or meet its machines. The network is the
# host's.
set -eu
release=$1
shift
checkout=$(CDPATH='' cd -- "${0%/*}/../.." && pwd -P)
root=$(mktemp -d "${TMPDIR:-/tmp}/virtkit-$release.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT TERM HUP

copy_tree() { # what git would take, as it stands now
    mkdir -p "$root/opt/virt kit"
    (cd "$checkout" && git ls-files -z --cached --others --exclude-standard) |
        tar -C "$checkout" --null --files-from=- --ignore-failed-read --create --file=- |
        tar -C "$root/opt/virt kit" --no-same-owner --extract --file=-
}

give_network() { # with the certificates that this host's administrator added
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    mkdir -p "$root/usr/local/share/ca-certificates"
    find /usr/local/share/ca-certificates -name '*.crt' -exec cp '{}' "$root/usr/local/share/ca-certificates/" ';'
}

mmdebstrap --quiet --variant=minbase "$@" "$release" "$root"
chmod 755 "$root"
copy_tree
give_network
cp "$checkout/tests/install/first-user.sh" "$root/opt/first-user.sh"
cp "$checkout/tests/install/enter-root.sh" "$root/opt/"
unshare --mount --pid --ipc --uts --fork --kill-child sh "$root/opt/enter-root.sh" "$root"
