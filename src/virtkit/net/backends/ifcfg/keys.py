"""Which variables of an ifcfg file are layer 3, and move to the bridge; all others stay with the link.

From RHEL's sysconfig.txt (initscripts) and nm-settings-ifcfg-rh(5).
"""

from __future__ import annotations

import re

LAYER3 = re.compile(
    r"BOOTPROTO|(?:IPADDR|NETMASK|PREFIX|BROADCAST|NETWORK|GATEWAY|ARPCHECK|ARPUPDATE)\d*|GATEWAYDEV|"
    r"ROUTING_RULE6?_\w+|SRCADDR|SCOPE|METRIC|WINDOW|EXTRA_ROUTE_OPTS|DEFROUTE|NOZEROCONF|NOROUTESET|NO_ALIASROUTING|"
    r"DNS\d+|DOMAIN|SEARCH|RES_OPTIONS|RESOLV_MODS|PEER(?:DNS|ROUTES|NTP|YP)|MS_DNS\d|"
    r"DHCP\w*|DHCLIENTARGS|PERSISTENT_DHCLIENT\w*|NO_DHCP_HOSTNAME|IPV4\w*|IPV6\w*|ACD_TIMEOUT|LINK_LOCAL\w*|"
    r"ZONE|PROXY_\w+|BROWSER_ONLY|MDNS|LLMNR|DNS_OVER_TLS|CONNECTION_METERED|MUD_URL"
)
# Of both: when a link comes up, by whom, and how large its packets are.
BOTH = ("ONBOOT", "NM_CONTROLLED", "USERCTL", "MTU")
# A link's name as the value.
NAMES_LINK = ("GATEWAYDEV", "IPV6_DEFAULTDEV")
# What makes a bridge one: it goes with the bridge.
BRIDGE = ("DEVICE", "NAME", "UUID", "TYPE", "STP", "DELAY", "MACADDR", "PRIO", "AGEING", "BRIDGING_OPTS", "HOTPLUG")
