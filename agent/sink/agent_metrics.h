// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cortexflow::sink {

// Of services' backends, and of the checks that ask them.
struct HealthFigures {
  std::map<std::string, std::uint64_t> checks;  // ended, by result
  std::uint64_t late = 0;
  std::uint64_t in_flight = 0, in_flight_max = 0;
  std::uint64_t targets = 0, targets_max = 0;
  std::uint64_t refused = 0;
  std::map<std::string, std::uint64_t> backends;  // by state
  std::uint64_t panics = 0;
};

// Of the ports where load balancers ask.
struct HealthPortFigures {
  std::map<std::string, std::uint64_t> states;  // services' ports
  std::uint64_t max = 0;
  std::map<std::pair<std::string, std::string>, std::uint64_t> requests;  // by whose port, and status
};

// Of TCP connections' records, or of what policy refused; emitted = delivered + sum(lost) once the ring is drained.
struct FlowFigures {
  std::uint64_t emitted = 0;
  std::uint64_t delivered = 0;
  std::map<std::string, std::uint64_t> lost;  // by cause
  std::uint64_t untracked = 0;                // connections that get no record
};

// What the agent counts of itself.  emitted = delivered + sum(lost) once the ring is drained.
struct AgentFigures {
  struct Map {
    std::string name;
    std::uint64_t entries = 0;
    std::uint64_t max_entries = 0;
  };
  struct Program {
    std::string name;
    std::uint64_t run_count = 0;
    std::uint64_t run_time_ns = 0;
  };

  std::uint64_t emitted = 0;
  std::uint64_t delivered = 0;
  std::map<std::string, std::uint64_t> lost;          // by cause
  std::map<std::string, std::uint64_t> parse_errors;  // by cause
  std::optional<FlowFigures> flows;                   // none: the kernel takes no flow program
  std::uint64_t queries = 0;
  std::uint64_t answers = 0;
  std::uint64_t retransmits = 0;
  std::uint64_t packets = 0;
  std::uint64_t pending_full = 0;
  std::uint64_t helper_failed = 0;
  std::map<std::string, std::uint64_t> services;       // by event; empty: no services are translated
  std::map<std::string, std::uint64_t> stale_sockets;  // by how ending them went; empty: none are ended
  std::map<std::string, std::uint64_t> redirect;       // packets by verdict; empty: no interfaces are served
  std::optional<HealthFigures> health;                 // likewise
  std::optional<HealthPortFigures> health_ports;       // none: load balancers are not answered
  std::uint64_t unused = 0;                            // parts of the configuration
  std::uint64_t overrides = 0;                         // services that an operator has set something of
  std::uint64_t max_overrides = 0;
  std::map<std::string, std::uint64_t> edge_verdicts;  // empty: there is no edge
  std::map<std::string, std::uint64_t> edge_events;
  std::map<std::string, std::uint64_t> policy_verdicts_in, policy_verdicts_out;  // empty: no policy has come
  std::map<std::string, std::uint64_t> policy_events;
  FlowFigures policy_records;
  std::map<std::string, std::uint64_t> policy_hits;  // by rule
  bool policy_boot_closed = false;
  std::vector<Map> maps;          // names have to differ
  std::vector<Program> programs;  // likewise
};

// Asks for the figures at each scrape, from the scraping thread.
class AgentMetrics : public prometheus::Collectable {
 public:
  AgentMetrics(std::function<AgentFigures()> figures, std::string version, std::string revision);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::function<AgentFigures()> figures_;
  std::string version_;
  std::string revision_;
};

}  // namespace cortexflow::sink
