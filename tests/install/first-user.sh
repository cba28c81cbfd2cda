#!/bin/sh
# The first minutes of virtkit on a machine that has nothing but Debian's base system; run by fresh-root.sh.
set -eu
cd "/opt/virt kit"

show() {
    printf '\n# %s\n' "$*"
    "$@"
}

as_nobody() {
    setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

refused() { # what the message has to hold, command ...
    expected=$1
    shift
    printf '\n# %s\n' "$*"
    if "$@" 2>/tmp/said; then
        echo "went ahead" >&2
        exit 1
    fi
    cat /tmp/said
    grep -q "$expected" /tmp/said
}

refused "owner is root, and nobody cannot write there" as_nobody ./virtkit --version
cp -r . /tmp/theirs
chown -R nobody: /tmp/theirs
refused "^  try: apt-get install --no-install-recommends .*qemu" as_nobody /tmp/theirs/virtkit --version

show ./virtkit --version
if pgrep -l virt; then
    echo "the set-up started a service" >&2
    exit 1
fi
show ./virtkit --version
show ln -s "/opt/virt kit/virtkit" /usr/local/bin/virtkit
cd /tmp
show as_nobody virtkit --version
show as_nobody /tmp/theirs/virtkit --version
show virtkit host show
show qemu-img create -q -f qcow2 x.qcow2 1G
show virtkit disk info x.qcow2
show virtkit vm list
show "/opt/virt kit/test"
