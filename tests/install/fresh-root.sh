#!/bin/sh
# Takes this working tree to a new Debian root and plays its first user there: set-up, program, then what is asked for.
# Usage, as root: tests/install/fresh-root.sh RELEASE [--demo] [--test] [OPTION OF mmdebstrap ...]
#   RELEASE  bookworm or trixie
#   --demo   ./virtkit demo with its table of evidence, and ./virtkit demo --down
#   --test   all of ./test
# All mounts and processes live in namespaces that end with this script. The machine's network serves the downloads of
# the set-up; what follows has a network of its own, with lo alone. /dev is made for the root and /sys comes without
# control groups, so that nothing in there can change the machine's device nodes or meet its guests.
set -eu
release=$1
shift
wanted=
while [ $# -gt 0 ]; do
    case $1 in
    --demo | --test) wanted="$wanted ${1#--}" ;;
    *) break ;;
    esac
    shift
done
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
for script in enter-root first-set-up first-user; do cp "$checkout/tests/install/$script.sh" "$root/opt/"; done
# shellcheck disable=SC2086  # one word is one thing to run
unshare --mount --pid --ipc --uts --fork --kill-child sh "$root/opt/enter-root.sh" "$root" $wanted
