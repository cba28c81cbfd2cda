#!/bin/sh
# The set-up on a machine that has nothing but Debian's base system, and all other downloads; run by enter-root.sh.
# Arguments: what will be run later, demo and test.
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

fetch() { # for demo or test
    [ "$1" != test ] || show ./test --version
    show .venv/bin/python -I -c "from virtkit.recipes import guest; print(guest.kernel_and_initramfs()[1])"
}

refused "owner is root, and nobody cannot write there" as_nobody ./virtkit --version
cp -r . /tmp/theirs
chown -R nobody: /tmp/theirs
refused "^  try: apt-get install --no-install-recommends .*qemu" as_nobody /tmp/theirs/virtkit --version
show ./virtkit --version
show ./virtkit --version
show ln -s "/opt/virt kit/virtkit" /usr/local/bin/virtkit
cd /tmp
show as_nobody virtkit --version
show as_nobody /tmp/theirs/virtkit --version
cd "/opt/virt kit"
for purpose; do fetch "$purpose"; done
if pgrep -l virt; then
    echo "the set-up started a service" >&2
    exit 1
fi
