#!/bin/sh
# The first minutes of virtkit after its set-up, in a network namespace that has lo alone; run by enter-root.sh.
# Arguments: what to run besides, demo and test.
set -eu

show() {
    printf '\n# %s\n' "$*"
    "$@"
}

links() { # by name: the kernel may add fallback devices of tunnels
    ip -brief link | cut -d ' ' -f 1
}

run_demo() {
    before=$(links)
    show virtkit demo
    show virtkit status /var/lib/virtkit/demo/demo.yaml
    show virtkit demo
    show virtkit demo --down
    show virtkit demo --down
    show virtkit vm list
    [ "$(links)" = "$before" ] || {
        echo "the demo left links: $(links)" >&2
        exit 1
    }
}

umount /sys
mount -t sysfs sys /sys # this namespace's own links in /sys/class/net
ip link set lo up
cd /tmp
show virtkit host show
show qemu-img create -q -f qcow2 x.qcow2 1G
show virtkit disk info x.qcow2
show virtkit vm list
for purpose; do
    case $purpose in
    demo) run_demo ;;
    test) show "/opt/virt kit/test" ;;
    esac
done
