// SPDX-License-Identifier: Apache-2.0
#include "agent/flow/lookup_builder.h"

#include <optional>
#include <span>
#include <string>

#include "agent/flow/record_values.h"
#include "agent/protocol/dns/wire_name.h"

namespace cortexflow::flow {
namespace {

std::optional<model::DnsOutcome> outcome_of(std::uint8_t outcome) {
  switch (outcome) {
    case CF_DNS_ANSWERED:
      return model::DnsOutcome::kAnswered;
    case CF_DNS_TIMED_OUT:
      return model::DnsOutcome::kTimeout;
    case CF_DNS_ANSWERED_TWICE:
      return model::DnsOutcome::kDuplicate;
    case CF_DNS_LATE:
      return model::DnsOutcome::kLate;
    case CF_DNS_UNMATCHED:
      return model::DnsOutcome::kUnmatched;
    case CF_DNS_SUPERSEDED:
      return model::DnsOutcome::kSuperseded;
    case CF_DNS_UNTRACKED:
      return model::DnsOutcome::kUntracked;
    default:
      return std::nullopt;
  }
}

bool outcome_has_answer(model::DnsOutcome outcome) {
  return outcome != model::DnsOutcome::kTimeout && outcome != model::DnsOutcome::kSuperseded &&
         outcome != model::DnsOutcome::kUntracked;
}

std::optional<model::Transport> transport_of(std::uint8_t transport) {
  switch (transport) {
    case CF_TRANSPORT_UDP:
      return model::Transport::kUdp;
    case CF_TRANSPORT_TCP:
      return model::Transport::kTcp;
    default:
      return std::nullopt;
  }
}

// A hook that this agent doesn't know is one that it can't name; the process is still right.
model::OwnerSource owner_source_of(std::uint32_t source) {
  switch (source) {
    case CF_OWNER_KPROBE:
      return model::OwnerSource::kKprobe;
    case CF_OWNER_CGROUP:
      return model::OwnerSource::kCgroup;
    case CF_OWNER_TRACEPOINT:
      return model::OwnerSource::kTracepoint;
    default:
      return model::OwnerSource::kUnknown;
  }
}

}  // namespace

Result<model::DnsLookup> build(const cf_dns_lookup& record, std::chrono::nanoseconds clock_offset,
                               WorkloadResolver& workloads) {
  const cf_dns_query& query = record.query;
  const auto outcome = outcome_of(record.outcome);
  if (!outcome) return fail("unknown outcome {} of a lookup", record.outcome);
  const auto transport = transport_of(record.key.transport);
  if (!transport) return fail("unknown transport {} of a lookup", record.key.transport);
  if (query.name_len > CF_DNS_NAME_ROOM) return fail("name of {} octets does not fit its record", query.name_len);
  auto name = protocol::dns::to_text(std::span(query.name).first(query.name_len));
  if (!name) return tl::make_unexpected(std::move(name).error());

  model::DnsLookup lookup;
  const bool has_query = record.has_query != 0;
  lookup.start = system_time(has_query ? query.first_ns : record.end_ns, clock_offset);
  if (has_query) lookup.latency = time_between(query.first_ns, record.end_ns);
  lookup.outcome = *outcome;
  lookup.transmissions = has_query ? query.transmissions : 0;

  lookup.name = std::move(*name);
  lookup.qtype = query.qtype;
  lookup.qclass = query.qclass;
  lookup.id = record.key.id;
  lookup.recursion_desired = (query.flags & CF_DNS_RD) != 0;
  lookup.edns_size = query.edns_size;
  lookup.query_size = query.size;
  lookup.has_answer = outcome_has_answer(*outcome);
  if (lookup.has_answer) {
    lookup.rcode = record.rcode;
    lookup.answers = record.answers;
    lookup.answer_size = record.answer_size;
    lookup.truncated = (record.answer_flags & CF_DNS_TC) != 0;
    lookup.authoritative = (record.answer_flags & CF_DNS_AA) != 0;
    lookup.authenticated = (record.answer_flags & CF_DNS_AD) != 0;
    lookup.recursion_available = (record.answer_flags & CF_DNS_RA) != 0;
  }

  lookup.transport = *transport;
  lookup.client = address_of(record.key.client);
  lookup.client_port = record.key.client_port;
  lookup.server = address_of(record.key.server);
  lookup.server_port = record.key.server_port;

  lookup.pid = query.owner.tgid;
  lookup.comm = comm_of(query.owner.comm);
  lookup.owner_source = owner_source_of(query.owner.source);
  lookup.cgroup_id = query.cgroup_id;
  lookup.netns = query.netns;
  lookup.workload = workloads.resolve(query.cgroup_id, query.owner.tgid);
  return lookup;
}

}  // namespace cortexflow::flow
