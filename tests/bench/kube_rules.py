# SPDX-License-Identifier: Apache-2.0
"""Services as kube-proxy writes them, for iptables and for nftables, for callers on the node itself.

Both in the shape of Kubernetes 1.33: a chain a service and one an endpoint, by chance among the endpoints, hairpin marks
and masquerading.  Left out, to the peers' advantage: the chains for node ports, firewall and traffic from elsewhere.
"""

MARK = "0x4000"


def iptables_rules(services):
    """For iptables-restore.  `services`: (address, port, [endpoint address], endpoint port)."""
    chains = ["KUBE-SERVICES", "KUBE-MARK-MASQ", "KUBE-POSTROUTING"]
    rules = ["-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
             "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING",
             f"-A KUBE-MARK-MASQ -j MARK --set-xmark {MARK}/{MARK}",
             f"-A KUBE-POSTROUTING -m mark ! --mark {MARK}/{MARK} -j RETURN",
             f"-A KUBE-POSTROUTING -j MARK --set-xmark {MARK}/0x0",
             "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE"]
    for number, (address, port, endpoints, endpoint_port) in enumerate(services):
        service = f"KUBE-SVC-{number:016X}"
        chains.append(service)
        rules.append(f"-A KUBE-SERVICES -d {address}/32 -p tcp -m comment --comment \"bench/s{number} cluster IP\" -m tcp --dport {port} -j {service}")
        for at, endpoint in enumerate(endpoints):
            chain = f"KUBE-SEP-{number * len(endpoints) + at:016X}"
            chains.append(chain)
            left = len(endpoints) - at
            chance = f" -m statistic --mode random --probability {1 / left:.10f}" if left > 1 else ""
            rules += [f"-A {service} -m comment --comment \"bench/s{number} -> {endpoint}:{endpoint_port}\"{chance} -j {chain}",
                      f"-A {chain} -s {endpoint}/32 -m comment --comment bench/s{number} -j KUBE-MARK-MASQ",
                      f"-A {chain} -p tcp -m comment --comment bench/s{number} -m tcp -j DNAT --to-destination {endpoint}:{endpoint_port}"]
    return "\n".join(["*nat", *(f":{chain} - [0:0]" for chain in chains), *rules, "COMMIT"]) + "\n"


def nftables_rules(services):
    """For nft -f."""
    lines = ["table ip kube-proxy {", "map service-ips {", "type ipv4_addr . inet_proto . inet_service : verdict", "}",
             f"chain mark-for-masquerade {{ meta mark set meta mark | {MARK}; }}",
             f"chain masquerading {{ meta mark & {MARK} == 0 return; meta mark set meta mark ^ {MARK}; masquerade; }}",
             "chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }",
             "chain nat-output { type nat hook output priority -100; jump services; }",
             "chain nat-postrouting { type nat hook postrouting priority 100; jump masquerading; }"]
    elements = []
    for number, (address, port, endpoints, endpoint_port) in enumerate(services):
        for at, endpoint in enumerate(endpoints):
            lines.append(f"chain endpoint-{number}-{at} {{ ip saddr {endpoint} jump mark-for-masquerade; "
                         f"meta l4proto tcp dnat to {endpoint}:{endpoint_port}; }}")
        goto = ", ".join(f"{at} : goto endpoint-{number}-{at}" for at in range(len(endpoints)))
        lines.append(f"chain service-{number} {{ numgen random mod {len(endpoints)} vmap {{ {goto} }}; }}")
        elements.append(f"{address} . tcp . {port} : goto service-{number}")
    return "\n".join(lines) + "\n}\nadd element ip kube-proxy service-ips { " + ",\n".join(elements) + " }\n"


def install_iptables(namespace, services):
    namespace.run("iptables-legacy-restore", "--noflush", input=iptables_rules(services), timeout=600)


def install_nftables(namespace, services):
    namespace.run("nft", "-f", "-", input=nftables_rules(services), timeout=600)
