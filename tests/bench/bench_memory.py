# SPDX-License-Identifier: Apache-2.0
"""Memory of the agent and of its maps: idle, and after lookups of more and more distinct names."""

from figures import table
from place import Place, map_kib, resident_kib

RATE = 50000
SCRAPES = 8  # at each step: a scrape is part of an agent's life, and each of its HTTP threads keeps memory for it
RSS_GROWTH_MAX = 1.10  # from half way on: what is bounded has been filled by then


def steps_of(place, names_limit, total, steps):
    rows = []
    with place.agent("--dns-metrics-names", str(names_limit)) as agent:
        for step in range(steps + 1):
            if step:
                count = total // steps
                asked = 0
                while asked < count:  # as long as it takes on a busy machine
                    left = count - asked
                    load = place.load(RATE, left / RATE, first=(step - 1) * count + asked, names=left)
                    assert load["answered"], f"nobody answers: {load}"
                    asked += load["sent"]
            status = agent.balance()
            for _ in range(SCRAPES):
                samples = agent.metrics()
            maps = map_kib(agent)
            rows.append({"names_limit": names_limit, "lookups": status["delivered"], "series": len(samples), **resident_kib(agent.pid),
                         "maps_kib": sum(maps.values()), "maps": maps})
    return rows


def run(smoke):
    total, steps = (20000, 2) if smoke else (1000000, 4)
    with Place(smoke) as place:
        rows = [row for limit in (0, 1000) for row in steps_of(place, limit, total, steps)]
    table(f"Memory, KiB, after lookups of distinct names at {RATE:,}/s (dns.metrics.names = 0 and 1000)",
          ["names limit", "lookups", "samples in a scrape", "RSS", "of it anonymous", "BPF maps"],
          [[r["names_limit"], f"{r['lookups']:,}", r["series"], f"{r['VmRSS']:,}", f"{r['RssAnon']:,}", f"{r['maps_kib']:,.0f}"] for r in rows])
    maps = rows[-1]["maps"]
    table("Of it, by map, KiB", ["map", "idle", "at the end"], [[name, f"{rows[0]['maps'][name]:,.0f}", f"{maps[name]:,.0f}"] for name in sorted(maps)])
    bounded = True
    for limit in (0, 1000):
        mine = [r for r in rows if r["names_limit"] == limit]
        bounded &= mine[-1]["VmRSS"] <= RSS_GROWTH_MAX * mine[len(mine) // 2]["VmRSS"]
    print(f"  bounded (at most {RSS_GROWTH_MAX - 1:.0%} more at the end than half way): {'met' if bounded else 'NOT met'}")
    return {"rows": rows, "bounded": bounded}
