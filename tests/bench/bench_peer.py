# SPDX-License-Identifier: Apache-2.0
"""The agent beside what Debian offers to look at DNS, on the same load, turn by turn.

dumpcap writes packets and knows nothing of DNS: the least that a capture costs.  tshark decodes and matches, as the
agent does, and knows no process.
"""

from figures import summary, table
from observer import COMMANDS, Observer
from place import Place, cpu_seconds, resident_kib

RATES = [5000, 20000, 50000]


def with_agent(place, rate, seconds):
    with place.agent() as agent:
        def once():
            before, cpu = agent.balance(), cpu_seconds(agent.pid)
            load = place.load(rate, seconds)
            after = agent.balance()
            lost = sum(after["lost"].values()) - sum(before["lost"].values())
            return {**load, "cpu": cpu_seconds(agent.pid) - cpu, "lost_packets": lost, "rss": resident_kib(agent.pid)["VmRSS"]}

        return place.undisturbed(agent, once)


def with_capture(place, kind, rate, seconds):
    with Observer(place, kind) as observer:
        cpu = observer.cpu_seconds()
        load = place.load(rate, seconds)
        observer.sent(load)
        observer.settle()
        out = {**load, "cpu": observer.cpu_seconds() - cpu, "rss": observer.resident_kib()}
        return {**out, "lost_packets": observer.lost()}


def measure(place, who, rate, seconds):
    if who == "nothing":
        return {**place.load(rate, seconds), "cpu": 0, "lost_packets": 0, "rss": 0}
    if who == "cfagent":
        return with_agent(place, rate, seconds)
    return with_capture(place, who, rate, seconds)


def run(smoke):
    seconds, turns, rates = (0.5, 1, RATES[:1]) if smoke else (3, 3, RATES)
    who = ["nothing", "cfagent", *COMMANDS]
    samples = {(rate, name): [] for rate in rates for name in who}
    with Place(smoke) as place:
        for turn in range(turns):
            for rate in rates:
                for name in who if turn % 2 == 0 else reversed(who):
                    sample = measure(place, name, rate, seconds) if name == "cfagent" else place.undisturbed(
                        None, lambda n=name, r=rate: measure(place, n, r, seconds))
                    samples[rate, name].append(sample)
    rows, figures = [], []
    for (rate, name), parts in samples.items():
        figure = {"rate": rate, "observer": name, "lost_packets": sum(p["lost_packets"] for p in parts), "rss_kib": max(p["rss"] for p in parts),
                  "cpu_ms_per_10k": summary([1e7 * p["cpu"] / p["answered"] for p in parts]),
                  "load_us": summary([1e6 * p["cpu_seconds"] / p["answered"] for p in parts])}
        figures.append(figure)
        rows.append([f"{rate:,}", name, f"{figure['load_us']['median']:.2f}", f"{figure['cpu_ms_per_10k']['median']:.0f} ms", figure["lost_packets"], f"{figure['rss_kib']:,}"])
    table("The same load, looked at by different observers", ["lookups/s", "observer", "load us/lookup", "its CPU per 10,000", "records or packets lost", "RSS KiB"], rows)
    return figures
