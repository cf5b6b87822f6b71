// SPDX-License-Identifier: Apache-2.0
#include "agent/kubernetes_status.h"

#include <fmt/format.h>

#include <vector>

#include "agent/model/time_text.h"

namespace cortexflow {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kQuietMax{150};  // servers send a bookmark a minute

double seconds_since(Clock::time_point when) { return std::chrono::duration<double>(Clock::now() - when).count(); }

double age_of(const source::KubernetesSource::Status& status) {
  if (status.synced) return seconds_since(status.heard);
  if (!status.cached) return 0;
  return std::chrono::duration<double>(std::chrono::system_clock::now() - *status.cached).count();
}

}  // namespace

control::FunctionStatus kubernetes_function(const source::KubernetesSource& kubernetes) {
  const auto status = kubernetes.status();
  std::vector<std::string> kinds, troubles;
  for (const auto& kind : status.kinds) {
    if (kind.missing) {
      kinds.push_back(fmt::format("no {} installed", kind.kind));
    } else {
      kinds.push_back(fmt::format("{} {}", kind.objects, kind.kind));
    }
    if (!kind.trouble.empty()) troubles.push_back(fmt::format("{}: {}", kind.kind, kind.trouble));
  }
  if (!status.cache_trouble.empty()) troubles.push_back("state on disk: " + status.cache_trouble);
  std::string state;
  bool old = false;
  if (!status.synced && status.cached) {
    state = fmt::format("what counts is the server's state of {}, from disk; ", model::time_text(*status.cached));
  } else if (!status.synced) {
    state = "the server's state is not known yet, what the kernel has stays; ";
  } else if (Clock::now() - status.heard > kQuietMax) {
    old = true;
    state = fmt::format("nothing was heard for {:.0f} s, what counts is from before; ", seconds_since(status.heard));
  }
  auto detail = fmt::format("{}{}", state, fmt::join(kinds, ", "));
  if (!troubles.empty()) detail += fmt::format("; {}", fmt::join(troubles, "; "));
  return {"kubernetes", status.server, !status.synced || old || !troubles.empty(), detail};
}

std::optional<std::chrono::duration<double>> kubernetes_heard(const source::KubernetesSource& kubernetes) {
  const auto status = kubernetes.status();
  if (!status.synced) return std::nullopt;
  return Clock::now() - status.heard;
}

sink::KubernetesFigures kubernetes_figures(const source::KubernetesSource& kubernetes) {
  const auto status = kubernetes.status();
  sink::KubernetesFigures out{status.synced, age_of(status), {}};
  for (const auto& kind : status.kinds) {
    const auto& figures = kind.figures;
    out.kinds.push_back({kind.kind, kind.objects, figures.lists, figures.events, figures.failures, figures.gone,
                         figures.octets, !kind.trouble.empty()});
  }
  return out;
}

}  // namespace cortexflow
