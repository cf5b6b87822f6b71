// SPDX-License-Identifier: Apache-2.0
#include "agent/node.h"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include <array>

#include "agent/base/clock.h"
#include "agent/edge_figures.h"
#include "agent/flow/lookup_builder.h"
#include "agent/kernel/host.h"
#include "agent/kubernetes_status.h"
#include "agent/removal.h"

namespace cortexflow {
namespace {

using std::chrono::milliseconds;

// Small amounts of records are not announced by the kernel (a wake-up each would cost the lookups); they wait for this.
constexpr milliseconds kConsumeEvery{20};
constexpr std::chrono::seconds kExpireEvery{30};
constexpr int kConsumesPerSweep = 10;

std::map<std::string, std::uint64_t> parse_errors(const std::array<std::uint64_t, CF_DNS_C_MAX>& c) {
  return {{"short", c[CF_DNS_C_ERR_SHORT]},
          {"name", c[CF_DNS_C_ERR_NAME]},
          {"question_count", c[CF_DNS_C_ERR_QDCOUNT]},
          {"opcode", c[CF_DNS_C_ERR_OPCODE]},
          {"ip_header", c[CF_DNS_C_ERR_IPHEADER]},
          {"fragment", c[CF_DNS_C_ERR_FRAGMENT]},
          {"tcp_gap", c[CF_DNS_C_ERR_TCP_GAP]},
          {"many", c[CF_DNS_C_ERR_MANY]}};
}

// Which interfaces are served, and which are not.
control::FunctionStatus redirect_status(const kernel::Redirect& redirect) {
  constexpr std::size_t kShown = 8;
  control::FunctionStatus out{"services by packet", "", false, ""};
  std::vector<std::string> good, bad;
  for (const auto& one : redirect.interfaces()) {
    if (!one.problem.empty()) {
      bad.push_back(fmt::format("{} is not served: {}", one.name, one.problem));
      continue;
    }
    good.push_back(one.name);
    const std::string hook = tc_hook_name(one.hook);
    if (out.hook.find(hook) == std::string::npos) out.hook += (out.hook.empty() ? "" : " + ") + hook;
  }
  out.degraded = !bad.empty() || good.empty();
  out.detail =
      good.empty() ? "no interface is served: none matches services.interfaces" : fmt::format("{} served", good.size());
  const auto few = [](std::vector<std::string>& of) {
    if (of.size() > kShown) of.resize(kShown);
  };
  few(good), few(bad);
  for (const auto& [words, separator] : {std::pair{&good, ", "}, std::pair{&bad, "; "}}) {
    if (!words->empty()) out.detail += fmt::format("{}{}", words == &good ? ": " : "; ", fmt::join(*words, separator));
  }
  return out;
}

sink::HealthFigures health_figures(const Services& services) {
  const auto checks = services.health();
  sink::HealthFigures out;
  for (std::size_t i = 0; i < checks.results.size(); ++i) out.checks[health::kResultNames.at(i)] = checks.results.at(i);
  out.late = checks.late;
  out.in_flight = checks.in_flight;
  out.in_flight_max = checks.in_flight_max;
  out.targets = checks.targets;
  out.targets_max = checks.targets_max;
  out.refused = services.unchecked();
  const auto backends = services.backends();
  out.backends = {{"available", backends.available},
                  {"unhealthy", backends.unhealthy},
                  {"ejected", backends.ejected},
                  {"drained", backends.drained}};
  out.panics = backends.panics;
  return out;
}

// Nothing to say where no service asks for checks.
void add_health(const sink::HealthFigures& health, std::vector<control::FunctionStatus>& functions) {
  if (health.targets == 0) return;
  std::string detail = fmt::format("{} backends are checked", health.targets);
  if (health.refused > 0) detail += fmt::format(", {} are not: the limit is {}", health.refused, health.targets_max);
  if (health.late > 0) detail += fmt::format(", {} checks began late: raise health.checks_in_flight", health.late);
  if (health.panics > 0) detail += fmt::format(", {} service ports use unhealthy backends (panic)", health.panics);
  functions.push_back({"health checks", "sockets", health.refused > 0 || health.late > 0, detail});
}

// For epoll_wait(2), until then; rounded up, so that it is due by then.
int wait_ms(const std::optional<Services::Clock::time_point>& due) {
  if (!due) return -1;
  const auto now = Services::Clock::now();
  return *due <= now ? 0 : static_cast<int>(std::chrono::ceil<milliseconds>(*due - now).count());
}

}  // namespace

Node::Node(const source::Settings& settings, prometheus::Registry& registry, LogLines log_lines)
    : settings_(settings),
      log_lines_(std::move(log_lines)),
      started_(std::chrono::system_clock::now()),
      resolver_(flow::WorkloadResolver::of_this_host()),
      metrics_(registry, sink::DnsMetricsLimits{.names = settings.dns_metric_names}),
      flows_(registry, resolver_) {}

Result<void> Node::open() {
  auto cgroup_root = kernel::find_cgroup_root(settings_.cgroup_root);
  if (!cgroup_root) return tl::make_unexpected(std::move(cgroup_root.error()));
  cgroup_root_ = *cgroup_root;
  if (settings_.program_stats) {
    auto stats = kernel::enable_program_stats();
    if (!stats) return tl::make_unexpected(std::move(stats.error()));
    stats_ = std::move(*stats);
  }
  auto tracer = kernel::DnsTracer::open({cgroup_root_, settings_.pin_path, settings_.dns_ports},
                                        [this](std::span<const std::byte> record) { on_record(record); });
  if (!tracer) return tl::make_unexpected(std::move(tracer.error()));
  tracer_ = std::move(*tracer);
  if (!settings_.follows_services()) {
    // No policy comes to this agent: what waits for them since boot has waited for nothing.
    if (auto opened = kernel::PolicyTables::open_closed(settings_.pin_path); !opened) return opened;
    left_ = left_functions(settings_.pin_path);
  }
  if (settings_.follows_services()) {
    auto services = Services::open(settings_, cgroup_root_);
    if (!services) return tl::make_unexpected(std::move(services.error()));
    services_ = std::move(*services);
  }
  kernel::FlowSockets sockets;
  if (services_) sockets = {services_->tables().fd("svc_sockets"), services_->authorization().sockets()};
  flows_.open(
      cgroup_root_, sockets,
      [this](model::Flow& flow, const cf_policy_judgment& policy) {
        if (services_) services_->name_flow(flow, policy);
      },
      [this](model::Flow& flow, const cf_policy_judgment& policy) {
        if (services_) services_->name_flow_locked(flow, policy);
      });
  if (services_) services_->authorization().share_sockets(flows_.policy_sockets());
  return {};
}

Result<void> Node::run(const sigset_t& signals, const std::function<void()>& reload) {
  if (services_) services_->end_as_configured();
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  const Fd signal_fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  const Fd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll || !signal_fd || !timer) return fail_errno("cannot make the event loop", errno);
  itimerspec every{};
  every.it_interval.tv_nsec = every.it_value.tv_nsec = std::chrono::nanoseconds(kConsumeEvery).count();
  timerfd_settime(timer.get(), 0, &every, nullptr);
  std::vector<int> fds{signal_fd.get(), timer.get(), tracer_->ring_fd()};
  if (const auto fd = flows_.fd()) fds.push_back(*fd);
  if (services_) {
    const auto more = services_->fds();
    fds.insert(fds.end(), more.begin(), more.end());
  }
  auto* redirect = services_ ? services_->redirect() : nullptr;
  if (redirect) fds.push_back(redirect->fd());
  for (const int fd : fds) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0)
      return fail_errno("cannot watch the event loop's fds", errno);
  }
  for (int ticks = 0;;) {
    std::array<epoll_event, 8> ready{};
    const auto due = services_ ? services_->due() : std::nullopt;
    const int n = epoll_wait(epoll.get(), ready.data(), static_cast<int>(ready.size()), wait_ms(due));
    if (n < 0 && errno != EINTR) return fail_errno("the event loop failed", errno);
    for (int i = 0; i < n; ++i) {
      const int fd = ready[static_cast<std::size_t>(i)].data.fd;
      if (fd == signal_fd.get()) {
        signalfd_siginfo info{};
        if (read(fd, &info, sizeof info) != sizeof info) continue;
        if (info.ssi_signo != SIGHUP) return {};
        reload();
      } else if (fd == timer.get()) {
        std::uint64_t expirations = 0;
        if (read(fd, &expirations, sizeof expirations) == sizeof expirations) ++ticks;
      } else if (redirect && fd == redirect->fd()) {
        for (const auto& error : redirect->poll()) spdlog::error("services: {}", error.to_string());
      }
    }
    consume();
    if (services_) {
      for (const auto& error : services_->poll()) spdlog::error("services: {}", error.to_string());
    }
    if (ticks >= kConsumesPerSweep) {
      ticks = 0;
      sweep();
      if (services_) {
        for (const auto& error : services_->judge_backends()) spdlog::error("services: {}", error.to_string());
      }
      if (auto attached = tracer_->check_attached(); !attached) return attached;
    }
  }
}

void Node::drain() {
  if (tracer_) {
    tracer_->detach();  // first, or what is emitted from here on is neither delivered nor lost
    consume();
    flows_.drain(clock_offset_);
  }
  draining_ = true;
  log_.log().close();
}

Result<void> Node::apply(const source::Settings& settings) {
  if (auto set = tracer_->set_ports(settings.dns_ports); !set) return set;
  const std::lock_guard lock(settings_mutex_);
  settings_.dns_ports = settings.dns_ports;
  settings_.dns_timeout = settings.dns_timeout;
  return {};
}

void Node::consume() {
  clock_offset_ = clock_offset();
  tracer_->consume();
  flows_.consume(clock_offset_);
  if (!services_) return;
  for (const auto& record : services_->authorization().read_events()) {
    flows_.on_refusal(std::as_bytes(std::span(record)), clock_offset_);
  }
}

void Node::on_record(std::span<const std::byte> record) {
  const auto lookup = events::decode_dns_lookup(record);
  if (lookup) {
    deliver(*lookup);
  } else {
    ++decode_errors_[static_cast<std::size_t>(lookup.error())];
  }
}

void Node::deliver(const cf_dns_lookup& record) {
  auto built = flow::build(record, clock_offset_, resolver_);
  if (!built) {
    ++name_errors_;
    return;
  }
  if (services_) services_->name_pod(built->workload);
  auto lookup = std::make_shared<const model::DnsLookup>(std::move(*built));
  metrics_.record(*lookup);
  workloads_.record(*lookup);
  log_.log().push(std::move(lookup));
  ++delivered_;
}

void Node::sweep() {
  const auto now = std::chrono::steady_clock::now();  // CLOCK_MONOTONIC
  if (auto* redirect = services_ ? services_->redirect() : nullptr; redirect && now - expired_ >= kExpireEvery) {
    expired_ = now;
    redirect->expire(now.time_since_epoch());
  }
  const auto limit = [this] {
    const std::lock_guard lock(settings_mutex_);
    return settings_.dns_timeout;
  }();
  for (const auto& lookup : tracer_->take_timed_out(limit)) {
    ++timed_out_;
    deliver(lookup);
  }
}

sink::AgentFigures Node::figures() const {
  sink::AgentFigures out;
  // Delivered is read before emitted, so that emitted is never the smaller one.
  out.delivered = delivered_;
  for (std::size_t i = 0; i < decode_errors_.size(); ++i) {
    out.lost[std::string(events::cause(static_cast<events::DecodeError>(i)))] = decode_errors_[i];
  }
  out.lost["record_name"] = name_errors_;
  const std::uint64_t timeouts = timed_out_;
  const auto c = tracer_->counters();
  out.emitted = c[CF_DNS_C_EMITTED] + timeouts;
  out.lost["ring_full"] = c[CF_DNS_C_LOST_RING_FULL];
  out.lost["not_parsed"] = c[CF_DNS_C_LOST_NOT_PARSED];
  out.parse_errors = parse_errors(c);
  out.queries = c[CF_DNS_C_QUERIES];
  out.answers = c[CF_DNS_C_ANSWERS];
  out.retransmits = c[CF_DNS_C_RETRANSMITS];
  out.flows = flows_.figures();
  if (const auto ring = flows_.ring()) out.maps.push_back({ring->name, ring->entries, ring->max_entries});
  out.packets = c[CF_DNS_C_PACKETS];
  out.pending_full = c[CF_DNS_C_PENDING_FULL];
  out.helper_failed = c[CF_DNS_C_HELPER_FAILED];
  for (const auto& map : tracer_->maps()) out.maps.push_back({map.name, map.entries, map.max_entries});
  const auto programs = kernel_programs();
  if (services_) {
    const auto counters = services_->tables().counters();
    out.services = {{"translated", counters[CF_SVC_C_TRANSLATED]},
                    {"retried", counters[CF_SVC_C_RETRIED]},
                    {"lost", counters[CF_SVC_C_LOST]},
                    {"refused_empty", counters[CF_SVC_C_REFUSED_EMPTY]},
                    {"refused_breaker", counters[CF_SVC_C_REFUSED_BREAKER]},
                    {"reversed", counters[CF_SVC_C_REVERSED]},
                    {"refused_pending", counters[CF_SVC_C_REFUSED_PENDING]},
                    {"helper_failed", counters[CF_SVC_C_HELPER_FAILED]}};
    if (const auto* sweep = services_->stale_sockets()) {
      const auto counts = sweep->counts();
      for (std::size_t i = 0; i < counts.size(); ++i) out.stale_sockets[kernel::kSocketEndNames.at(i)] = counts.at(i);
    }
    out.health = health_figures(*services_);
    if (const auto* ports = services_->health_ports()) out.health_ports = ports->figures();
    out.unused = services_->unused();
    out.overrides = services_->overrides();
    out.max_overrides = state::kOverridesMax;
    for (const auto& [name, used, limit] : services_->usage()) out.maps.push_back({name, used, limit});
    if (const auto* redirect = services_->redirect()) {
      const auto verdicts = redirect->verdicts();
      for (std::size_t i = 0; i < verdicts.size(); ++i) out.redirect[kernel::redirect_verdict_name(i)] = verdicts[i];
      for (const auto& map : redirect->maps()) out.maps.push_back({map.name, map.entries, map.max_entries});
    }
    out.policy_records = flows_.refusals();  // before what was emitted
    if (auto policy = services_->authorization().figures()) {
      out.policy_verdicts_in = std::move(policy->verdicts[CF_POLICY_IN]);
      out.policy_verdicts_out = std::move(policy->verdicts[CF_POLICY_OUT]);
      out.policy_events = std::move(policy->events);
      out.policy_hits = std::move(policy->hits);
      out.policy_records.lost["ring_full"] = policy->records.lost;
      out.policy_records.emitted = policy->records.told + policy->records.lost;
      out.policy_boot_closed = policy->boot_closed;
      for (const auto& [name, use] : policy->maps) out.maps.push_back({name, use.first, use.second});
    }
    if (const auto* edge = services_->edge()) {
      auto figures = edge_figures(edge->tables().counters());
      out.edge_verdicts = std::move(figures.verdicts);
      out.edge_events = std::move(figures.events);
      for (const auto& map : edge->maps()) out.maps.push_back({map.name, map.entries, map.max_entries});
    }
  }
  for (const auto& program : programs) {
    out.programs.push_back({program.name, program.run_count, program.run_time_ns});
  }
  return out;
}

control::Status Node::status() const {
  control::Status out;
  const auto now = figures();
  {
    const std::lock_guard lock(settings_mutex_);
    out.node = settings_.node_name;
    out.config_file = settings_.config_file;
    out.dns_ports = settings_.dns_ports;
  }
  out.version = CORTEXFLOW_VERSION;
  out.pid = static_cast<std::uint32_t>(getpid());
  out.kernel = kernel::kernel_release();
  out.started = started_;
  const auto& owner = tracer_->owner();
  out.functions.push_back({"dns packets", "cgroup_skb", false, ""});
  out.functions.push_back(flows_.function());
  out.functions.insert(out.functions.end(), left_.begin(), left_.end());
  if (services_) {
    const auto applied = services_->applied();
    out.configuration = {applied.generation, applied.when, applied.took, std::nullopt};
    if (const auto* kubernetes = services_->kubernetes()) out.configuration->heard = kubernetes_heard(*kubernetes);
    if (const auto* kubernetes = services_->kubernetes()) out.functions.push_back(kubernetes_function(*kubernetes));
    for (auto& function : services_->functions()) out.functions.push_back(std::move(function));
    if (services_->redirect()) out.functions.push_back(redirect_status(*services_->redirect()));
  }
  if (identity_) out.functions.push_back(identity_());
  if (now.health) add_health(*now.health, out.functions);
  out.functions.push_back(
      {"process attribution", owner.name(), owner.hook() != kernel::OwnerHook::kKprobe, owner.detail()});
  for (const auto& map : now.maps) out.maps.push_back({map.name, map.entries, map.max_entries});
  out.emitted = now.emitted;
  out.delivered = now.delivered;
  out.lost = now.lost;
  if (now.flows) out.flows = control::FlowRecords{now.flows->emitted, now.flows->delivered, now.flows->lost};
  out.parse_errors = now.parse_errors;
  out.queries = now.queries;
  out.answers = now.answers;
  return out;
}

std::vector<kernel::ProgramInfo> Node::kernel_programs() const {
  auto programs = tracer_->programs();
  const auto add = [&](std::vector<kernel::ProgramInfo> more) {
    programs.insert(programs.end(), more.begin(), more.end());
  };
  add(flows_.programs());
  if (services_) add(services_->tables().programs());
  if (services_) add(services_->authorization().programs());
  if (services_ && services_->stale_sockets()) programs.push_back(services_->stale_sockets()->program());
  if (services_ && services_->redirect()) add(services_->redirect()->programs());
  if (services_ && services_->edge()) add(services_->edge()->tables().programs());
  return programs;
}

std::vector<control::BpfProgram> Node::bpf_programs() const {
  std::vector<control::BpfProgram> out;
  auto programs = kernel_programs();
  out.reserve(programs.size());
  for (auto& program : programs) {
    out.push_back({program.id, program.name, program.type, program.attached_to, program.pin, program.run_count,
                   program.run_time_ns, program.verified_instructions});
  }
  return out;
}

std::vector<control::WorkloadRow> Node::workloads() const {
  std::vector<control::WorkloadRow> out;
  for (auto& row : workloads_.rows())
    out.push_back({row.workload, row.cgroup_id, row.lookups, row.failed, row.last_seen});
  return out;
}

std::vector<control::ServiceRow> Node::services() const {
  return services_ ? services_->rows() : std::vector<control::ServiceRow>{};
}

std::optional<sink::KubernetesFigures> Node::kubernetes_figures() const {
  const auto* kubernetes = services_ ? services_->kubernetes() : nullptr;
  return kubernetes ? std::optional(cortexflow::kubernetes_figures(*kubernetes)) : std::nullopt;
}

std::vector<sink::ServiceFigures> Node::service_figures() const {
  return services_ ? services_->figures() : std::vector<sink::ServiceFigures>{};
}

std::vector<std::string> Node::service_refusals() const {
  return services_ ? services_->refusals() : std::vector<std::string>{};
}

namespace {

tl::unexpected<control::Refused> no_services() {
  return tl::make_unexpected(
      control::Refused{404, {"this agent follows no services", "start it with --manifests DIR or --kubeconfig FILE"}});
}

}  // namespace

control::Done Node::set_weights(const std::string& service,
                                const std::vector<std::pair<std::string, std::uint32_t>>& weights) {
  return services_ ? services_->set_weights(service, weights) : no_services();
}

control::Done Node::reset_weights(const std::string& service) {
  return services_ ? services_->reset_weights(service) : no_services();
}

control::Done Node::set_drained(const std::string& service, const std::string& backend, bool drained) {
  return services_ ? services_->set_drained(service, backend, drained) : no_services();
}

control::Answer<std::vector<control::SimulatedPort>> Node::simulate(const control::SimulationQuery& query) const {
  if (!services_) return no_services();
  return services_->simulate(query);
}

control::Answer<control::Explanation> Node::explain(const std::string& caller, const std::string& target) const {
  if (!services_) return no_services();
  return services_->explain(caller, target);
}

control::Answer<control::DenyView> Node::deny_list() const {
  if (!services_) return no_services();
  return services_->deny_list();
}

control::Done Node::deny(const std::string& entry) { return services_ ? services_->deny(entry) : no_services(); }

control::Done Node::allow(const std::string& cidr) { return services_ ? services_->allow(cidr) : no_services(); }

control::PolicyOperator* Node::policies() const { return services_.get(); }

std::vector<std::string> Node::log_lines(std::size_t max) const { return log_lines_(max); }

}  // namespace cortexflow
