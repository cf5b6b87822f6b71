// SPDX-License-Identifier: Apache-2.0
#include "agent/source/settings.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "agent/source/manifest/cidr.h"
#include "agent/source/manifest/file_text.h"
#include "agent/source/manifest/yaml_reader.h"

namespace cortexflow::source {
namespace {

constexpr std::size_t kInterfaceNameMax = 15;  // IFNAMSIZ, and a zero
constexpr int kNatPortsMin = 256;
constexpr std::size_t kWorkloadRangesMax = 256;
constexpr std::size_t kDnsPortsMax = 8;  // CF_DNS_PORTS_MAX; the kernel side refuses more too

template <typename Number>
std::optional<Number> parse_number(const std::string& text, Number min, Number max) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < min || value > max) return std::nullopt;
  return value;
}

// Sets the value and returns true, or returns false for a text that isn't one.
struct Setting {
  std::string key;
  std::string expected;
  std::function<bool(const std::string&, Settings&)> set;
  bool list = false;  // several values, that come joined by commas
};

Setting text_setting(std::string key, std::string expected, std::string Settings::* field, bool may_be_empty = false) {
  return {std::move(key), std::move(expected), [field, may_be_empty](const std::string& text, Settings& settings) {
            settings.*field = text;
            return may_be_empty || !text.empty();
          }};
}

Setting choice_setting(std::string key, std::vector<std::string> choices, std::string Settings::* field) {
  std::string expected = fmt::format("one of {}", fmt::join(choices, ", "));
  return {std::move(key), std::move(expected),
          [field, choices = std::move(choices)](const std::string& text, Settings& settings) {
            settings.*field = text;
            return std::find(choices.begin(), choices.end(), text) != choices.end();
          }};
}

bool set_ports(const std::string& text, Settings& settings) {
  std::vector<std::uint16_t> ports;
  std::istringstream list(text);
  for (std::string item; std::getline(list, item, ',');) {
    const auto port = parse_number<std::uint16_t>(item, 1, 65535);
    if (!port) return false;
    if (std::find(ports.begin(), ports.end(), *port) == ports.end()) ports.push_back(*port);
  }
  if (ports.empty() || ports.size() > kDnsPortsMax) return false;
  settings.dns_ports = std::move(ports);
  return true;
}

bool set_timeout(const std::string& text, Settings& settings) {
  const auto timeout = parse_duration(text);
  if (!timeout || *timeout < std::chrono::milliseconds(100) || *timeout > std::chrono::minutes(5)) return false;
  settings.dns_timeout = *timeout;
  return true;
}

bool set_metric_names(const std::string& text, Settings& settings) {
  const auto names = parse_number<std::size_t>(text, 0, 10000);
  if (names) settings.dns_metric_names = *names;
  return names.has_value();
}

bool set_checks_in_flight(const std::string& text, Settings& settings) {
  const auto checks = parse_number<std::size_t>(text, 1, 512);  // each is an fd: half of the usual limit
  if (checks) settings.health_checks_in_flight = *checks;
  return checks.has_value();
}

Setting list_setting(std::string key, std::string expected, std::vector<std::string> Settings::* field) {
  return {std::move(key), std::move(expected),
          [field](const std::string& text, Settings& settings) {
            std::vector<std::string> items;
            std::istringstream list(text);
            for (std::string item; std::getline(list, item, ',');) {
              if (item.empty()) return false;
              items.push_back(item);
            }
            settings.*field = std::move(items);
            return !(settings.*field).empty();
          },
          true};
}

Setting flag_setting(std::string key, bool Settings::* field) {
  return {std::move(key), "true or false", [field](const std::string& text, Settings& settings) {
            settings.*field = text == "true";
            return text == "true" || text == "false";
          }};
}

Setting edge_choice(std::string key, std::vector<std::string> choices, std::string EdgeSettings::* field) {
  std::string expected = fmt::format("one of {}", fmt::join(choices, ", "));
  return {std::move(key), std::move(expected),
          [field, choices = std::move(choices)](const std::string& text, Settings& settings) {
            settings.edge.*field = text;
            return std::find(choices.begin(), choices.end(), text) != choices.end();
          }};
}

bool set_interfaces(const std::string& text, Settings& settings) {
  auto& names = settings.edge.interfaces;
  names.clear();
  std::istringstream list(text);
  for (std::string item; std::getline(list, item, ',');) {
    const bool one = !item.empty() && item.size() <= kInterfaceNameMax && item.find('/') == std::string::npos;
    if (!one || std::find(names.begin(), names.end(), item) != names.end()) return false;
    names.push_back(item);
  }
  return true;
}

bool set_edge_addresses(const std::string& text, Settings& settings) {
  auto& addresses = settings.edge.addresses;
  addresses.clear();
  std::istringstream list(text);
  for (std::string item; std::getline(list, item, ',');) {
    const auto address = model::IpAddress::parse(item);
    if (!address || (!addresses.empty() && addresses.front().is_v4() == address->is_v4())) return false;
    addresses.push_back(*address);
  }
  return !addresses.empty() && addresses.size() <= 2;
}

bool set_nat_ports(const std::string& text, Settings& settings) {
  const auto dash = text.find('-');
  if (dash == std::string::npos) return false;
  const auto first = parse_number<std::uint16_t>(text.substr(0, dash), 1024, 65535);
  const auto last = parse_number<std::uint16_t>(text.substr(dash + 1), 1024, 65535);
  if (!first || !last || *last - *first + 1 < kNatPortsMin) return false;
  settings.edge.nat_port_min = *first;
  settings.edge.nat_port_max = *last;
  return true;
}

bool set_gue_port(const std::string& text, Settings& settings) {
  const auto port = parse_number<std::uint16_t>(text, 1, 65535);
  if (port) settings.edge.gue_port = *port;
  return port.has_value();
}

bool set_edge_flows(const std::string& text, Settings& settings) {
  const auto flows = parse_number<std::uint32_t>(text, 1024, 4194304);
  if (flows) settings.edge.flows = *flows;
  return flows.has_value();
}

bool set_workload_ranges(const std::string& text, Settings& settings) {
  auto& ranges = settings.policy.workload_ranges;
  ranges.clear();
  std::istringstream list(text);
  for (std::string item; std::getline(list, item, ',');) {
    const auto cidr = parse_cidr(item);
    if (!cidr) return false;
    ranges.push_back(cidr->to_string());
  }
  return !ranges.empty() && ranges.size() <= kWorkloadRangesMax;
}

// ADDRESS:PORT, with IPv6 addresses in brackets.
std::optional<ListenAddress> parse_listen(const std::string& text, std::uint16_t port_min) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return std::nullopt;
  std::string host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = model::IpAddress::parse(host);
  if (host != "localhost" && (!address || address->is_v4() == bracketed)) return std::nullopt;
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1), port_min, 65535);
  return port ? std::optional(ListenAddress{host, *port}) : std::nullopt;
}

bool set_listen(const std::string& text, Settings& settings) {
  settings.metrics_listen = text;
  return parse_listen(text, 0).has_value();
}

bool set_health_check_listen(const std::string& text, Settings& settings) {
  settings.health_check_listen = text;
  return text.empty() || model::IpAddress::parse(text).has_value();
}

bool set_proxy_health_listen(const std::string& text, Settings& settings) {
  settings.proxy_health_listen = parse_listen(text, 1);
  const auto& listen = settings.proxy_health_listen;
  return listen ? listen->address != "localhost" : text.empty();
}

const std::vector<Setting>& all_settings() {
  static const std::vector<Setting> kSettings{
      text_setting("node_name", "a name", &Settings::node_name),
      text_setting("control_socket", "a path", &Settings::control_socket),
      {"metrics_listen", "ADDRESS:PORT, such as 127.0.0.1:9464 or [::]:9464", set_listen},
      text_setting("pin_path", "a path below /sys/fs/bpf", &Settings::pin_path),
      text_setting("state_dir", "a directory, for what operators set", &Settings::state_dir),
      text_setting("cgroup_root", "a directory of cgroup v2, to observe only what is below it", &Settings::cgroup_root,
                   true),
      choice_setting("log_level", {"debug", "info", "warn", "error"}, &Settings::log_level),
      choice_setting("log_format", {"text", "json"}, &Settings::log_format),
      flag_setting("program_stats", &Settings::program_stats),
      list_setting("manifests", "directories of Kubernetes manifests", &Settings::manifests),
      text_setting("kubeconfig", "a kubeconfig file, or in-cluster: an API server's services are followed",
                   &Settings::kubeconfig, true),
      list_setting("kubernetes.servers",
                   "URLs of API servers, in place of the kubeconfig's; the next is asked when one is away",
                   &Settings::kubernetes_servers),
      text_setting("zone", "this node's topology.kubernetes.io/zone", &Settings::zone),
      flag_setting("services.keep_on_exit", &Settings::keep_services_on_exit),
      list_setting("services.interfaces",
                   "interfaces of callers that connect-time hooks don't see, such as tap*: served by their packets",
                   &Settings::service_interfaces),
      {"services.health_check_listen",
       "an address, such as 0.0.0.0 or ::, where services' healthCheckNodePorts are answered, or nothing: they are not",
       set_health_check_listen},
      {"services.proxy_health_listen",
       "ADDRESS:PORT, such as 0.0.0.0:10256 or [::]:10256, where load balancers are answered /healthz in kube-proxy's "
       "place, or nothing: they are not",
       set_proxy_health_listen},
      {"health.checks_in_flight", "a number from 1 to 512", set_checks_in_flight},
      {"policy.trust_domain", "a trust domain, such as cluster.local",
       [](const std::string& text, Settings& settings) {
         settings.policy.trust_domain = text;
         return !text.empty() && text.find('/') == std::string::npos && text != "*";
       }},
      {"policy.workload_ranges", "up to 256 CIDRs that workloads' addresses are from", set_workload_ranges, true},
      {"policy.unknown", "one of deny, allow, audit",
       [](const std::string& text, Settings& settings) {
         settings.policy.unknown = text;
         return text == "deny" || text == "allow" || text == "audit";
       }},
      {"policy.keep_on_exit", "true or false",
       [](const std::string& text, Settings& settings) {
         settings.policy.keep_on_exit = text == "true";
         return text == "true" || text == "false";
       }},
      {"identity.mode", "one of embedded, off",
       [](const std::string& text, Settings& settings) {
         settings.identity.embedded = text == "embedded";
         return text == "embedded" || text == "off";
       }},
      {"identity.config", "the certificate authority's settings file, such as /etc/cortexflow/identity.yaml",
       [](const std::string& text, Settings& settings) {
         settings.identity.config = text;
         return !text.empty();
       }},
      {"edge.interfaces", "network interfaces, for XDP: names, with wildcards, or auto", set_interfaces, true},
      edge_choice("edge.mode", {"auto", "native", "generic"}, &EdgeSettings::mode),
      edge_choice("edge.forwarding", {"snat", "ipip", "gue"}, &EdgeSettings::forwarding),
      {"edge.addresses", "an IPv4 address, an IPv6 address, or both", set_edge_addresses, true},
      {"edge.nat_ports", "FIRST-LAST, at least 256 ports from 1024 on", set_nat_ports},
      {"edge.gue_port", "a port", set_gue_port},
      {"edge.flows", "a number from 1024 to 4194304", set_edge_flows},
      {"edge.keep_on_exit", "true or false",
       [](const std::string& text, Settings& settings) {
         settings.edge.keep_on_exit = text == "true";
         return text == "true" || text == "false";
       }},
      {"dns.ports", "1 to 8 ports from 1 to 65535", set_ports, true},
      {"dns.timeout", "a duration from 100ms to 5m, such as 5s", set_timeout},
      {"dns.metrics.names", "a number from 0 (no name label) to 10000", set_metric_names},
  };
  return kSettings;
}

bool is_scalar(const Value& value) { return value.type != Value::Type::kList && value.type != Value::Type::kMap; }

// Nothing for what holds anything but a value, or, where the key takes a list, values.
std::optional<std::string> value_text(const Value& value, bool may_be_list) {
  if (is_scalar(value)) return value.text;
  if (!may_be_list) return std::nullopt;
  std::string joined;
  for (const auto& item : value.items) {
    if (!is_scalar(item)) return std::nullopt;
    joined += (joined.empty() ? "" : ",") + item.text;
  }
  return joined;
}

const Setting* find_setting(const std::string& key) {
  const auto& settings = all_settings();
  const auto found = std::find_if(settings.begin(), settings.end(), [&](const auto& s) { return s.key == key; });
  return found == settings.end() ? nullptr : &*found;
}

bool is_section(const std::string& key) {
  const auto& settings = all_settings();
  return std::any_of(settings.begin(), settings.end(), [&](const auto& s) { return s.key.starts_with(key + "."); });
}

Result<void> apply_tree(const Value& tree, const std::string& prefix, const std::string& path,
                        std::set<std::string>& seen, Settings& settings) {
  for (const auto& item : tree.items) {
    const std::string key = prefix + item.key;
    const std::string where = fmt::format("{}:{}", path, item.line);
    if (item.type == Value::Type::kMap) {
      if (!is_section(key)) {
        return fail("{}: {} is no section; expected one of {}", where, printable(key), fmt::join(setting_keys(), ", "));
      }
      if (auto done = apply_tree(item, key + ".", path, seen, settings); !done) return done;
      continue;
    }
    if (!seen.insert(key).second) return fail("{}: {} is given more than once", where, printable(key));
    const bool list = takes_list(key);
    const auto value = value_text(item, list || !find_setting(key));
    if (!value) return fail("{}: {}: expected {}", where, printable(key), list ? "a list of values" : "one value");
    if (auto done = apply({key, *value, where}, settings); !done) return done;
  }
  return {};
}

}  // namespace

constexpr std::size_t kFileMax = 1 << 20;

Result<void> read_file(const std::string& path, Settings& settings) {
  Settings changed = settings;
  const auto text = read_text(path, kFileMax);
  if (!text)
    return tl::make_unexpected(Error{fmt::format("cannot read {}: {}", path, text.error().message), "check --config"});
  if (!*text) return fail_errno(fmt::format("cannot read {}", path), ENOENT, "check --config");
  const auto documents = split_yaml(**text);
  if (documents.size() > 1) {
    return fail("{}:{}: a second document; expected one mapping", path, documents[1].line);
  }
  const auto root = read_yaml(documents.empty() ? DocumentText{} : documents.front());
  if (!root) return fail("{}:{}: {}", path, root.error().line, root.error().reason);
  if (root->type != Value::Type::kMap && root->type != Value::Type::kNull) {
    return fail("{}:1: expected a mapping of keys to values", path);
  }
  std::set<std::string> seen;
  if (auto done = apply_tree(*root, "", path, seen, changed); !done) return done;
  settings = std::move(changed);
  settings.config_file = path;
  return {};
}

Result<void> apply(const SettingText& text, Settings& settings) {
  const auto* setting = find_setting(text.key);
  if (!setting)
    return fail("{}: unknown key {}; expected one of {}", text.where, printable(text.key),
                fmt::join(setting_keys(), ", "));
  Settings changed = settings;
  if (!setting->set(text.value, changed)) {
    return fail("{}: {}: \"{}\" won't do; expected {}", text.where, text.key, printable(text.value), setting->expected);
  }
  settings = std::move(changed);
  return {};
}

std::optional<std::chrono::milliseconds> parse_duration(const std::string& text) {
  const auto unit = text.find_first_not_of("0123456789");
  if (unit == std::string::npos || unit == 0) return std::nullopt;
  const auto number = parse_number<std::int64_t>(text.substr(0, unit), 0, 1'000'000'000);
  const std::string suffix = text.substr(unit);
  if (!number) return std::nullopt;
  if (suffix == "ms") return std::chrono::milliseconds(*number);
  if (suffix == "s") return std::chrono::seconds(*number);
  if (suffix == "m") return std::chrono::minutes(*number);
  return std::nullopt;
}

const std::vector<std::string>& setting_keys() {
  static const std::vector<std::string> kKeys = [] {
    std::vector<std::string> keys;
    for (const auto& setting : all_settings()) keys.push_back(setting.key);
    return keys;
  }();
  return kKeys;
}

const std::string& expected_value(const std::string& key) { return find_setting(key)->expected; }

bool takes_list(const std::string& key) {
  const auto* setting = find_setting(key);
  return setting && setting->list;
}

std::string environment_name(const std::string& key) {
  std::string name = "CORTEXFLOW_";
  for (const char c : key) name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

}  // namespace cortexflow::source
