"""What nft lists, and the command that puts the same for the bridge beside each thing that names the port."""

from __future__ import annotations

from virtkit.net.ties import nftables

LISTED = """table inet lan { # handle 7
	set inside { # handle 2
		type ifname
		elements = { "eth0",
			"eth1" }
	}
	map wans { # handle 3
		type ifname : verdict
		elements = { "eth0" : jump ssh }
	}
	flowtable fast { # handle 4
		hook ingress priority filter
		devices = { eth0.100, eth0 }
	}
	chain input { # handle 1
		type filter hook input priority filter; policy drop;
		iif "eth0" tcp dport 22 accept # handle 5
		iifname "eth0.100" accept # handle 6
		iifname "eth1" accept comment "eth0" # handle 8
		iifname { "eth0", "eth1" } counter log prefix "it's" accept # handle 9
		iifname != "eth0" drop # handle 10
	}
}
table netdev edge { # handle 8
	chain in { # handle 1
		type filter hook ingress device "eth0" priority filter; policy accept;
	}
}
table ip filter { # handle 9
	chain INPUT { # handle 1
		iifname "eth0" counter accept # handle 2
	}
}
table ip libvirt_network { # handle 10
	chain guest_nat { # handle 1
		oifname "eth0" masquerade # handle 2
	}
}
"""


def test_what_names_the_port_is_shown_with_the_same_for_the_bridge() -> None:
    found = list(nftables.naming(LISTED, "eth0", "br0", {("ip", "filter")}))
    assert [rule.command for rule in found] == [
        "nft 'add element inet lan inside { \"br0\" }'",
        "nft 'add element inet lan wans { \"br0\" : jump ssh }'",
        "",
        "nft 'add rule inet lan input handle 5 iifname \"br0\" tcp dport 22 accept'",
        """nft 'add rule inet lan input handle 9 iifname { "br0", "eth1" } counter log prefix "it'"'"'s" accept'""",
        "",
        "",
        "nft 'add rule ip libvirt_network guest_nat handle 2 oifname \"br0\" masquerade'",
    ]
    assert [rule.maker for rule in found] == ["", "", "", "", "", "", "", "libvirt"]
    assert [rule.shown for rule in found if rule.excludes] == ['nft chain inet lan input: iifname != "eth0" drop']
    assert found[2].shown == "nft flowtable inet lan fast: devices = { eth0.100, eth0 }"
    assert found[3].shown == 'nft chain inet lan input: iif "eth0" tcp dport 22 accept'
    assert found[6].shown.startswith("nft chain netdev edge in: type filter hook ingress device")
