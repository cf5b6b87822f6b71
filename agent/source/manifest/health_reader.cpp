// SPDX-License-Identifier: Apache-2.0
// A TrafficPolicy's spec.health:
//
//   type: HTTP                  # TCP, HTTP, GRPC (grpc.health.v1); absent: backends are not asked, and only
//   panicThreshold may be there path: /healthz              # HTTP; default / expectedStatus: 200-299     # HTTP; one
//   status or a range; default 200-399, as Kubernetes' probes service: shop.Cart          # GRPC; default: the server
//   as a whole port: 8081                  # default: the backend's own.  UDP ports are checked only where this is
//   given interval: 30s timeout: 5s                 # no longer than the interval; default 5s, or the interval where
//   that is shorter healthyThreshold: 2         # good results in a row until an unhealthy backend is used again
//   unhealthyThreshold: 3       # bad results in a row until a backend is left out
//   panicThreshold: 50          # percent: were fewer of the ready backends left, all are used; 0: never
#include "agent/source/manifest/health_reader.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "agent/source/manifest/duration.h"

namespace cortexflow::source {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kIntervalMin{100};
constexpr milliseconds kIntervalMax{3'600'000};
constexpr milliseconds kTimeoutMin{10};
constexpr std::int64_t kThresholdMax = 100;
constexpr std::size_t kPathMax = 1024;
constexpr std::size_t kServiceMax = 256;

// What a request line may hold (RFC 9110 7.1: origin-form): nothing that ends it or breaks it.
std::string read_path(const Field& field) {
  std::string path = field.text("/");
  const bool prints = std::all_of(path.begin(), path.end(), [](char c) { return c > ' ' && c < '\x7f' && c != '#'; });
  if (path.empty() || path[0] != '/' || path.size() > kPathMax || !prints) {
    field.expected("a path of up to 1024 printable ASCII characters that starts with /, without blanks and #");
  }
  return path;
}

std::optional<std::uint16_t> parse_status(std::string_view text) {
  std::uint16_t status = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole && text.size() == 3 && status >= 100 && status <= 599 ? std::optional(status) : std::nullopt;
}

void read_status(const Field& field, model::HealthCheck& check) {
  if (!field.present()) return;
  const std::string_view text = field.tree().text;  // 200 is a number to YAML, 200-299 is not
  const auto dash = text.find('-');
  const auto min = parse_status(text.substr(0, dash));
  const auto max = dash == std::string_view::npos ? min : parse_status(text.substr(dash + 1));
  if (!min || !max || *min > *max) return field.expected("a status from 100 to 599, or a range such as 200-299");
  check.status_min = *min;
  check.status_max = *max;
}

model::HealthCheck read_check(const Field& field) {
  model::HealthCheck check;
  check.type = static_cast<model::HealthCheckType>(field["type"].choice({"TCP", "HTTP", "GRPC"}, 0));
  for (const char* name : {"path", "expectedStatus"}) {
    if (field[name].present() && check.type != model::HealthCheckType::kHttp) {
      field[name].refuse("expected type: HTTP beside it");
    }
  }
  if (field["service"].present() && check.type != model::HealthCheckType::kGrpc) {
    field["service"].refuse("expected type: GRPC beside it");
  }
  check.grpc_service = field["service"].text();
  if (check.grpc_service.size() > kServiceMax) field["service"].expected("up to 256 octets");
  check.path = read_path(field["path"]);
  read_status(field["expectedStatus"], check);
  check.port = static_cast<std::uint16_t>(field["port"].number(1, 65535).value_or(0));
  check.interval = read_duration(field["interval"], check.interval, kIntervalMin, kIntervalMax,
                                 "a duration from 100ms to 60m, such as 30s");
  check.timeout = read_duration(field["timeout"], std::min(check.timeout, check.interval), kTimeoutMin, kIntervalMax,
                                "a duration from 10ms to 60m, such as 5s");
  if (check.timeout > check.interval) field["timeout"].refuse("expected no more than the interval");
  const auto threshold = [&](const char* name, std::uint32_t fallback) {
    return static_cast<std::uint32_t>(field[name].number(1, kThresholdMax).value_or(fallback));
  };
  check.healthy_threshold = threshold("healthyThreshold", check.healthy_threshold);
  check.unhealthy_threshold = threshold("unhealthyThreshold", check.unhealthy_threshold);
  return check;
}

}  // namespace

void read_health(const Field& field, model::TrafficPolicy& policy) {
  field.only({"type", "path", "expectedStatus", "service", "port", "interval", "timeout", "healthyThreshold",
              "unhealthyThreshold", "panicThreshold"});
  policy.panic_threshold =
      static_cast<std::uint32_t>(field["panicThreshold"].number(0, 100).value_or(model::kPanicThreshold));
  if (field["type"].present()) {
    policy.health_check = read_check(field);
    return;
  }
  for (const char* name :
       {"path", "expectedStatus", "service", "port", "interval", "timeout", "healthyThreshold", "unhealthyThreshold"}) {
    if (field[name].present()) field[name].refuse("expected type: TCP, HTTP or GRPC beside it");
  }
}

}  // namespace cortexflow::source
