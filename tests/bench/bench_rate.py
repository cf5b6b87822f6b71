# SPDX-License-Identifier: Apache-2.0
"""Offered lookups a second against what was delivered, what was lost and why, and the agent's CPU."""

from figures import summary, table
from place import Place, cpu_seconds

# Asked of each load program, and how many of them; 0: all it can.
OFFERS = [(1000, 1), (5000, 1), (10000, 1), (20000, 1), (50000, 1), (100000, 1), (150000, 1), (200000, 1), (0, 1), (0, 2), (0, 4)]
NO_LOSS_BELOW = 50000  # lookups a second


def slice_of(place, agent, offer, seconds):
    before, cpu = agent.balance(), cpu_seconds(agent.pid)
    load = place.loads(offer[1], offer[0], seconds)
    after = agent.balance()  # waits until the ring is drained: the CPU of all records is in
    return {"offered": load["answered"] / load["seconds"], "answered": load["answered"], "sent": load["sent"],
            "emitted": after["emitted"] - before["emitted"], "delivered": after["delivered"] - before["delivered"],
            "lost": {cause: n - before["lost"].get(cause, 0) for cause, n in after["lost"].items() if n != before["lost"].get(cause, 0)},
            "cpu_percent": 100 * (cpu_seconds(agent.pid) - cpu) / load["seconds"],
            "cpu_us_a_lookup": 1e6 * (cpu_seconds(agent.pid) - cpu) / load["answered"],
            "load_us_a_lookup": 1e6 * load["cpu_seconds"] / load["answered"]}


def row(offer, slices):
    lost = {}
    for part in slices:
        for cause, n in part["lost"].items():
            lost[cause] = lost.get(cause, 0) + n
    figures = {key: summary([part[key] for part in slices]) for key in ("offered", "cpu_percent", "cpu_us_a_lookup", "load_us_a_lookup")}
    figures.update(rate=offer[0], loads=offer[1], lost=lost, emitted=sum(p["emitted"] for p in slices), delivered=sum(p["delivered"] for p in slices))
    assert figures["emitted"] == figures["delivered"] + sum(lost.values()), f"the accounting is not closed: {figures}"
    assert all(p["emitted"] >= p["answered"] for p in slices), f"lookups without a record: {figures}"
    return figures


def show(rows, untraced):
    cells = []
    for r in rows:
        causes = ", ".join(f"{cause} {n}" for cause, n in sorted(r["lost"].items())) or "none"
        cells.append([f"{r['rate']:,}" if r["rate"] else f"all it can, x {r['loads']}", f"{r['offered']['median']:,.0f}", f"{r['emitted']:,}", f"{r['delivered']:,}", causes,
                      f"{r['cpu_percent']['median']:.1f} %", f"{r['cpu_us_a_lookup']['median'] * 10:.1f} ms",
                      f"{r['load_us_a_lookup']['median']:.2f}"])
    table("Offered rate: delivered, lost, CPU of the agent (client's socket traced; load and agent share the machine)",
          ["lookups/s asked for", "reached", "emitted", "delivered", "lost by cause", "agent CPU", "agent CPU per 10,000", "load us/lookup"], cells)
    print(f"  without tracing the load reaches {untraced['answered'] / untraced['seconds']:,.0f}/s at "
          f"{1e6 * untraced['cpu_seconds'] / untraced['answered']:.2f} us/lookup")


def run(smoke):
    seconds, repeats, offers = (0.3, 1, OFFERS[:1] + OFFERS[-1:]) if smoke else (4, 3, OFFERS)
    slices = {offer: [] for offer in offers}
    with Place(smoke) as place:
        untraced = place.undisturbed(None, lambda: place.load(0, seconds))
        with place.agent() as agent:
            for turn in range(repeats):  # up, down, up: what drifts meets every rate
                for offer in offers if turn % 2 == 0 else reversed(offers):
                    slices[offer].append(place.undisturbed(agent, lambda o=offer: slice_of(place, agent, o, seconds)))
    rows = [row(offer, slices[offer]) for offer in offers]
    show(rows, untraced)
    reached = [r for r in rows if r["offered"]["median"] < NO_LOSS_BELOW * 1.01]
    lossy = [r for r in reached if r["lost"]]
    print(f"  budget, no loss below {NO_LOSS_BELOW:,}/s: {'NOT met' if lossy else 'met'}")
    return {"rows": rows, "untraced": untraced, "no_loss_below_50000": not lossy}
