// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/settings.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <functional>
#include <map>
#include <set>

#include "agent/source/manifest/names.h"
#include "agent/source/manifest/yaml_reader.h"
#include "identity/authority.h"
#include "identity/daemon/name_template.h"
#include "identity/dns_name.h"
#include "identity/small_file.h"

namespace cortexflow::identity {
namespace {

using source::Value;

// Each false where the value is not what was expected.
using Set = std::function<bool(const Value&)>;
struct Field {
  std::string expected;
  Set set;
};
using Fields = std::map<std::string, Field>;

constexpr std::size_t kNameTemplatesMax = 32;
constexpr std::size_t kAudienceMax = 256;

bool is_scalar(const Value& value) {
  return value.type != Value::Type::kMap && value.type != Value::Type::kList && value.type != Value::Type::kNull;
}

std::string where(const Value& node) { return fmt::format("identity.yaml:{}", node.line); }

Result<void> read_fields(const Value& map, const std::string& above, const Fields& fields) {
  if (map.type != Value::Type::kMap)
    return fail("{}: {}: expected keys and values", where(map), above.empty() ? "the file" : above);
  std::set<std::string> seen;
  for (const auto& item : map.items) {
    const auto name = above.empty() ? item.key : above + "." + item.key;
    const auto field = fields.find(item.key);
    if (field == fields.end()) return fail("{}: unknown key {}", where(item), source::printable(name));
    if (!seen.insert(item.key).second) return fail("{}: {} is given twice", where(item), name);
    if (!field->second.set(item)) return fail("{}: {}: expected {}", where(item), name, field->second.expected);
  }
  return {};
}

Field text(std::string& to, std::string expected) {
  return {std::move(expected), [&to](const Value& node) {
            if (is_scalar(node)) to = node.text;
            return is_scalar(node) && !to.empty();
          }};
}

template <typename Number>
bool read_number(std::string_view digits, Number& to) {
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), to);
  return error == std::errc{} && end == digits.data() + digits.size();
}

// "90m", "24h", "30d"
Field duration(std::chrono::seconds& to, std::chrono::seconds min, std::chrono::seconds max) {
  constexpr auto hours_of = [](std::chrono::seconds length) {
    return std::chrono::duration_cast<std::chrono::hours>(length).count();
  };
  return {fmt::format("a duration such as 90m, 24h or 30d, from {}h to {}d", hours_of(min), hours_of(max) / 24),
          [&to, min, max](const Value& node) {
            static const std::map<char, std::int64_t> kUnits{{'m', 60}, {'h', 3600}, {'d', 86400}};
            if (!is_scalar(node) || node.text.size() < 2) return false;
            const auto& given = node.text;
            const auto unit = kUnits.find(given.back());
            std::uint32_t count = 0;
            const char* last = given.data() + given.size() - 1;
            const auto [end, error] = std::from_chars(given.data(), last, count);
            if (unit == kUnits.end() || error != std::errc{} || end != last) return false;
            to = std::chrono::seconds(unit->second * count);
            return to >= min && to <= max;
          }};
}

Field listen_address(std::string& to) {
  return {"ADDRESS:PORT", [&to](const Value& node) {
            to = is_scalar(node) ? node.text : "";
            const auto colon = to.rfind(':');
            std::uint16_t port = 0;
            return colon != std::string::npos && colon != 0 && read_number(to.substr(colon + 1), port);
          }};
}

// Plain HTTP, as the lists are signed and a check of TLS must not need a check of TLS; no character that means
// something to OpenSSL's description of an extension.
bool is_list_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  constexpr std::string_view kMarks = ".-_~/:[]%";
  constexpr std::size_t kUrlMax = 256;
  return url.starts_with(kScheme) && url.size() > kScheme.size() && url.size() <= kUrlMax && !url.ends_with('/') &&
         std::all_of(url.begin(), url.end(), [=](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || kMarks.find(c) != std::string_view::npos;
         });
}

// "{service_account}.{namespace}.svc": a DNS name once the two are filled in.
bool read_name_templates(const Value& node, std::vector<std::string>& to) {
  if (node.type != Value::Type::kList || node.items.size() > kNameTemplatesMax) return false;
  for (const auto& item : node.items) {
    if (!is_scalar(item) || !is_dns_name(fill_name(item.text, "x", "x"))) return false;
    to.push_back(item.text);
  }
  return true;
}

bool read_dns_names(const Value& node, std::vector<std::string>& to) {
  if (node.type != Value::Type::kList) return false;
  for (const auto& item : node.items) {
    if (!is_scalar(item) || !is_dns_name(item.text)) return false;
    to.push_back(item.text);
  }
  return true;
}

Result<WorkloadRule> read_workload(const Value& node, const std::string& trust_domain) {
  std::optional<SpiffeId> id;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<std::string> cgroup;
  std::vector<std::string> dns_names;
  const auto number = [](std::optional<std::uint32_t>& to) {
    return Field{"a number",
                 [&to](const Value& value) { return is_scalar(value) && read_number(value.text, to.emplace()); }};
  };
  const Fields fields{
      {"spiffe_id",
       {"a SPIFFE ID such as spiffe://" + trust_domain + "/ns/shop/sa/cart",
        [&](const Value& value) {
          auto read = SpiffeId::parse(is_scalar(value) ? value.text : "");
          if (read) id = std::move(*read);
          return id && id->trust_domain() == trust_domain;
        }}},
      {"uid", number(uid)},
      {"gid", number(gid)},
      {"cgroup",
       {"a path below the cgroup v2 mount, such as /system.slice/cart.service",
        [&](const Value& value) {
          cgroup = is_scalar(value) ? value.text : "";
          return cgroup->size() > 1 && cgroup->front() == '/' && cgroup->back() != '/';
        }}},
      {"dns_names",
       {"a list of DNS names; \"*.\" in front stands for one label",
        [&](const Value& value) { return read_dns_names(value, dns_names); }}},
  };
  if (auto read = read_fields(node, "workloads", fields); !read) return tl::make_unexpected(std::move(read.error()));
  if (!id) return fail("{}: workloads: spiffe_id is missing", where(node));
  if (!uid && !gid && !cgroup)
    return fail("{}: workloads: give uid, gid or cgroup: who is {}?", where(node), id->text());
  return WorkloadRule{std::move(*id), uid, gid, std::move(cgroup), std::move(dns_names)};
}

Result<void> read_workloads(const Value& list, Settings& settings) {
  if (list.type != Value::Type::kList) return fail("{}: workloads: expected a list", where(list));
  if (list.items.size() > Mapping::kRulesMax)
    return fail("{}: workloads: more than {}", where(list), Mapping::kRulesMax);
  for (const auto& item : list.items) {
    auto rule = read_workload(item, settings.trust_domain);
    if (!rule) return tl::make_unexpected(std::move(rule.error()));
    settings.workloads.push_back(std::move(*rule));
  }
  return {};
}

Fields authority_fields(Settings& settings) {
  auto& to = settings.authority;
  return {{"certificate", text(to.certificate, "a file's path")},
          {"key", text(to.key, "a file's path")},
          {"roots", text(to.roots, "a file's path")},
          {"passphrase_file", text(to.passphrase_file, "a file's path")},
          {"key_type",
           {fmt::format("one of {}", fmt::join(key_type_texts(), ", ")),
            [&to](const Value& node) {
              const auto type = parse_key_type(is_scalar(node) ? node.text : "");
              if (type) to.key_type = *type;
              return type.has_value();
            }}},
          {"lifetime", duration(to.lifetime, std::chrono::hours(24), std::chrono::hours(30 * 365 * 24))}};
}

Fields token_review_fields(Settings& settings) {
  auto& to = settings.token_review;
  return {{"kubeconfig", text(to.kubeconfig, "a kubeconfig file, or in-cluster")},
          {"audience",
           {"an audience, such as cortexflow",
            [&to](const Value& node) {
              to.audience = is_scalar(node) ? node.text : "";
              return !to.audience.empty() && to.audience.size() <= kAudienceMax;
            }}},
          {"dns_names",
           {"a list of DNS names, in which {namespace} and {service_account} stand for the caller's",
            [&to](const Value& node) { return read_name_templates(node, to.dns_names); }}}};
}

// DNS names that a certificate can be served with.
Field whole_dns_names(std::vector<std::string>& to) {
  return {"a list of DNS names, none of them with a wildcard", [&to](const Value& node) {
            return read_dns_names(node, to) &&
                   std::none_of(to.begin(), to.end(), [](const std::string& name) { return name.starts_with('*'); });
          }};
}

Fields webhook_fields(Settings& settings) {
  auto& to = settings.webhook;
  return {{"listen", listen_address(to.listen)},
          {"dns_names", whole_dns_names(to.dns_names)},
          {"configuration", text(to.configuration, "the name of the webhook configurations")},
          {"kubeconfig", text(to.kubeconfig, "a kubeconfig file, or in-cluster")},
          {"system_namespaces", {"a list of namespaces", [&to](const Value& node) {
                                   if (node.type != Value::Type::kList) return false;
                                   to.system_namespaces.clear();
                                   for (const auto& item : node.items) {
                                     if (!is_scalar(item) || !source::is_dns1123_label(item.text)) return false;
                                     to.system_namespaces.insert(item.text);
                                   }
                                   return true;
                                 }}}};
}

// As of a Kubernetes object whose name others' names begin with (RFC 1123).
Field object_name(std::string& to) {
  constexpr std::size_t kNameMax = 200;
  return {"a name of lower-case letters, digits and -", [&to](const Value& node) {
            to = is_scalar(node) ? node.text : "";
            const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
            return !to.empty() && to.size() <= kNameMax && std::all_of(to.begin(), to.end(), good) &&
                   to.front() != '-' && to.back() != '-';
          }};
}

Fields cluster_fields(ClusterSettings& to) {
  return {{"name", object_name(to.name)},
          {"namespace", object_name(to.name_space)},
          {"kubeconfig", text(to.kubeconfig, "a kubeconfig file, or in-cluster")},
          {"service", object_name(to.service)},
          {"replica", text(to.replica, "a name that no other replica has")},
          {"address", text(to.address, "an address of this host")}};
}

Result<void> check_cluster(const Value& document, const ClusterSettings& cluster) {
  if (document.find("state_dir") != nullptr) return fail("identity.yaml: state_dir and state: give one of them");
  if (cluster.name.empty() || cluster.name_space.empty()) {
    return fail("identity.yaml: state.kubernetes: give name and namespace");
  }
  return {};
}

// Its address has no sense in a file that several replicas share.
Result<void> complete(ClusterSettings& cluster) {
  if (const char* name = std::getenv("CORTEXFLOW_IDENTITY_REPLICA")) cluster.replica = name;
  if (const char* address = std::getenv("CORTEXFLOW_IDENTITY_ADDRESS")) cluster.address = address;
  std::array<char, HOST_NAME_MAX + 1> host{};
  if (cluster.replica.empty() && gethostname(host.data(), HOST_NAME_MAX) == 0) cluster.replica = host.data();
  if (cluster.replica.empty()) return fail("identity.yaml: state.kubernetes.replica: the host has no name: give one");
  if (!cluster.service.empty() && cluster.address.empty()) {
    return fail("identity.yaml: state.kubernetes.service: give CORTEXFLOW_IDENTITY_ADDRESS or address too");
  }
  return {};
}

Result<Settings> read_document(const Value& document) {
  Settings settings;
  Result<void> inner;
  const auto section = [&](const std::string& name, const Fields& fields) {
    return Field{"", [&inner, name, fields](const Value& node) {
                   if (auto read = read_fields(node, name, fields); !read && inner) inner = std::move(read);
                   return true;
                 }};
  };
  auto& certificates = settings.certificates;
  ClusterSettings cluster;
  const Fields fields{
      {"trust_domain", text(settings.trust_domain, "a name")},
      {"state_dir", text(settings.state_dir, "a path")},
      {"state", section("state", {{"kubernetes", section("state.kubernetes", cluster_fields(cluster))}})},
      {"control_socket", text(settings.control_socket, "a path")},
      {"workload_api_socket", text(settings.workload_api_socket, "a path")},
      {"metrics_listen", listen_address(settings.metrics_listen)},
      {"crl_listen", listen_address(settings.crl_listen)},
      {"crl_url",
       {"a URL such as http://crl.example.org/lists, http and without a slash at its end",
        [&](const Value& node) {
          settings.crl_url = is_scalar(node) ? node.text : "";
          return is_list_url(settings.crl_url);
        }}},
      {"listen", listen_address(settings.listen)},
      {"listen_dns_names", whole_dns_names(settings.listen_dns_names)},
      {"token_review", section("token_review", token_review_fields(settings))},
      {"webhook", section("webhook", webhook_fields(settings))},
      {"log_level",
       {"one of debug, info, warn, error",
        [&](const Value& node) {
          static const std::set<std::string> kLevels{"debug", "info", "warn", "error"};
          if (is_scalar(node)) settings.log_level = node.text;
          return kLevels.contains(settings.log_level);
        }}},
      {"authority", section("authority", authority_fields(settings))},
      {"certificates",
       section("certificates", {{"lifetime", duration(certificates.lifetime, kLifetimeMin, kLifetimeMax)},
                                {"lifetime_max", duration(certificates.lifetime_max, kLifetimeMin, kLifetimeMax)}})},
      {"workloads", {"a list", [](const Value&) { return true; }}},  // read when the trust domain is known
  };
  if (auto read = read_fields(document, "", fields); !read) return tl::make_unexpected(std::move(read.error()));
  if (!inner) return tl::make_unexpected(std::move(inner.error()));
  if (auto checked = check_trust_domain(settings.trust_domain); !checked) {
    return tl::make_unexpected(std::move(checked.error()).wrap("identity.yaml: trust_domain"));
  }
  if (document.find("state") != nullptr) {
    if (auto checked = check_cluster(document, cluster); !checked)
      return tl::make_unexpected(std::move(checked.error()));
    settings.cluster = std::move(cluster);
  }
  if (settings.authority.certificate.empty() != settings.authority.key.empty()) {
    return fail("identity.yaml: authority.certificate and authority.key: give both, or none for an own root");
  }
  if (settings.workload_api_socket == settings.control_socket) {
    return fail("identity.yaml: workload_api_socket: expected another path than control_socket");
  }
  if (!settings.listen.empty() && settings.listen_dns_names.empty()) {
    return fail("identity.yaml: listen: give listen_dns_names too, the DNS names by which callers reach it");
  }
  if (!settings.webhook.listen.empty() && settings.webhook.dns_names.empty()) {
    return fail(
        "identity.yaml: webhook.listen: give webhook.dns_names too, the DNS names by which API servers reach it");
  }
  if (settings.webhook.listen.empty() && !settings.webhook.configuration.empty()) {
    return fail("identity.yaml: webhook.configuration: give webhook.listen too, or there is nothing to configure");
  }
  if (!settings.crl_listen.empty() && settings.crl_url.empty()) {
    return fail("identity.yaml: crl_listen: give crl_url too, which certificates name, or nobody asks there");
  }
  certificates.lifetime_max = std::max(certificates.lifetime_max, certificates.lifetime);
  if (const auto* workloads = document.find("workloads")) {
    if (auto read = read_workloads(*workloads, settings); !read) return tl::make_unexpected(std::move(read.error()));
  }
  return settings;
}

}  // namespace

std::pair<std::string, std::uint16_t> split_listen(const std::string& listen) {
  const auto colon = listen.rfind(':');
  auto address = listen.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  std::uint16_t port = 0;
  return {std::move(address), read_number(std::string_view(listen).substr(colon + 1), port) ? port : std::uint16_t{}};
}

Result<Settings> parse_settings(std::string_view text) {
  const auto documents = source::split_yaml(text);
  if (documents.size() != 1) return fail("identity.yaml: expected one document, there are {}", documents.size());
  const auto root = source::read_yaml(documents.front());
  if (!root) return fail("identity.yaml:{}: {}", root.error().line, root.error().reason);
  return read_document(*root);
}

Result<Settings> read_settings(const std::string& path) {
  const auto text = read_small_file(path, Privacy::kAny);
  if (!text) {
    return tl::make_unexpected(
        Error{text.error().message, "name the settings file with --config; see examples/identity.yaml"});
  }
  auto settings = parse_settings(text->view());
  if (settings && settings->cluster) {
    if (auto completed = complete(*settings->cluster); !completed) {
      return tl::make_unexpected(std::move(completed.error()));
    }
  }
  return settings;
}

Result<std::vector<WorkloadRule>> reread_workloads(const std::string& path, const Settings& running) {
  auto fresh = read_settings(path);
  if (!fresh) return tl::make_unexpected(std::move(fresh.error()));
  if (fresh->trust_domain != running.trust_domain) return fail("another trust domain needs a restart");
  return std::move(fresh->workloads);
}

}  // namespace cortexflow::identity
