// SPDX-License-Identifier: Apache-2.0
#include "identity/daemon/settings.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <functional>
#include <map>
#include <set>

#include "identity/authority.h"
#include "identity/dns_name.h"
#include "identity/small_file.h"

namespace cortexflow::identity {
namespace {

// Each false where the value is not what was expected.
using Set = std::function<bool(const YAML::Node&)>;
struct Field {
  std::string expected;
  Set set;
};
using Fields = std::map<std::string, Field>;

std::string where(const YAML::Node& node) { return fmt::format("identity.yaml:{}", node.Mark().line + 1); }

Result<void> read_fields(const YAML::Node& map, const std::string& above, const Fields& fields) {
  if (!map.IsMap()) return fail("{}: {}: expected keys and values", where(map), above.empty() ? "the file" : above);
  std::set<std::string> seen;
  for (const auto& item : map) {
    const auto key = item.first.IsScalar() ? item.first.Scalar() : std::string("?");
    const auto name = above.empty() ? key : above + "." + key;
    const auto field = fields.find(key);
    if (field == fields.end()) return fail("{}: unknown key {}", where(item.first), name);
    if (!seen.insert(key).second) return fail("{}: {} is given twice", where(item.first), name);
    if (!field->second.set(item.second))
      return fail("{}: {}: expected {}", where(item.second), name, field->second.expected);
  }
  return {};
}

Field text(std::string& to, std::string expected) {
  return {std::move(expected), [&to](const YAML::Node& node) {
            if (node.IsScalar()) to = node.Scalar();
            return node.IsScalar() && !to.empty();
          }};
}

template <typename Number>
bool read_number(const YAML::Node& node, Number& to) {
  if (!node.IsScalar()) return false;
  const auto& digits = node.Scalar();
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), to);
  return error == std::errc{} && end == digits.data() + digits.size();
}

// "90m", "24h", "30d"
Field duration(std::chrono::seconds& to, std::chrono::seconds min, std::chrono::seconds max) {
  constexpr auto hours_of = [](std::chrono::seconds length) {
    return std::chrono::duration_cast<std::chrono::hours>(length).count();
  };
  return {fmt::format("a duration such as 90m, 24h or 30d, from {}h to {}d", hours_of(min), hours_of(max) / 24),
          [&to, min, max](const YAML::Node& node) {
            static const std::map<char, std::int64_t> kUnits{{'m', 60}, {'h', 3600}, {'d', 86400}};
            if (!node.IsScalar() || node.Scalar().size() < 2) return false;
            const auto& given = node.Scalar();
            const auto unit = kUnits.find(given.back());
            std::uint32_t count = 0;
            const char* last = given.data() + given.size() - 1;
            const auto [end, error] = std::from_chars(given.data(), last, count);
            if (unit == kUnits.end() || error != std::errc{} || end != last) return false;
            to = std::chrono::seconds(unit->second * count);
            return to >= min && to <= max;
          }};
}

bool read_dns_names(const YAML::Node& node, std::vector<std::string>& to) {
  if (!node.IsSequence()) return false;
  for (const auto& item : node) {
    if (!item.IsScalar() || !is_dns_name(item.Scalar())) return false;
    to.push_back(item.Scalar());
  }
  return true;
}

Result<WorkloadRule> read_workload(const YAML::Node& node, const std::string& trust_domain) {
  std::optional<SpiffeId> id;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<std::string> cgroup;
  std::vector<std::string> dns_names;
  const auto number = [](std::optional<std::uint32_t>& to) {
    return Field{"a number", [&to](const YAML::Node& value) { return read_number(value, to.emplace()); }};
  };
  const Fields fields{
      {"spiffe_id",
       {"a SPIFFE ID such as spiffe://" + trust_domain + "/ns/shop/sa/cart",
        [&](const YAML::Node& value) {
          auto read = SpiffeId::parse(value.IsScalar() ? value.Scalar() : "");
          if (read) id = std::move(*read);
          return id && id->trust_domain() == trust_domain;
        }}},
      {"uid", number(uid)},
      {"gid", number(gid)},
      {"cgroup",
       {"a path below the cgroup v2 mount, such as /system.slice/cart.service",
        [&](const YAML::Node& value) {
          cgroup = value.IsScalar() ? value.Scalar() : "";
          return cgroup->size() > 1 && cgroup->front() == '/' && cgroup->back() != '/';
        }}},
      {"dns_names",
       {"a list of DNS names; \"*.\" in front stands for one label",
        [&](const YAML::Node& value) { return read_dns_names(value, dns_names); }}},
  };
  if (auto read = read_fields(node, "workloads", fields); !read) return tl::make_unexpected(std::move(read.error()));
  if (!id) return fail("{}: workloads: spiffe_id is missing", where(node));
  if (!uid && !gid && !cgroup)
    return fail("{}: workloads: give uid, gid or cgroup: who is {}?", where(node), id->text());
  return WorkloadRule{std::move(*id), uid, gid, std::move(cgroup), std::move(dns_names)};
}

Result<void> read_workloads(const YAML::Node& list, Settings& settings) {
  if (!list.IsDefined()) return {};
  if (!list.IsSequence()) return fail("{}: workloads: expected a list", where(list));
  if (list.size() > Mapping::kRulesMax) return fail("{}: workloads: more than {}", where(list), Mapping::kRulesMax);
  for (const auto& item : list) {
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
            [&to](const YAML::Node& node) {
              const auto type = parse_key_type(node.IsScalar() ? node.Scalar() : "");
              if (type) to.key_type = *type;
              return type.has_value();
            }}},
          {"lifetime", duration(to.lifetime, std::chrono::hours(24), std::chrono::hours(30 * 365 * 24))}};
}

Result<Settings> read_document(const YAML::Node& document) {
  Settings settings;
  Result<void> inner;
  const auto section = [&](const std::string& name, const Fields& fields) {
    return Field{"", [&inner, name, fields](const YAML::Node& node) {
                   if (auto read = read_fields(node, name, fields); !read && inner) inner = std::move(read);
                   return true;
                 }};
  };
  auto& certificates = settings.certificates;
  const Fields fields{
      {"trust_domain", text(settings.trust_domain, "a name")},
      {"state_dir", text(settings.state_dir, "a path")},
      {"control_socket", text(settings.control_socket, "a path")},
      {"metrics_listen",
       {"ADDRESS:PORT",
        [&](const YAML::Node& node) {
          settings.metrics_listen = node.IsScalar() ? node.Scalar() : "";
          const auto colon = settings.metrics_listen.rfind(':');
          std::uint16_t port = 0;
          return colon != std::string::npos && colon != 0 &&
                 read_number(YAML::Node(settings.metrics_listen.substr(colon + 1)), port);
        }}},
      {"log_level",
       {"one of debug, info, warn, error",
        [&](const YAML::Node& node) {
          static const std::set<std::string> kLevels{"debug", "info", "warn", "error"};
          if (node.IsScalar()) settings.log_level = node.Scalar();
          return kLevels.contains(settings.log_level);
        }}},
      {"authority", section("authority", authority_fields(settings))},
      {"certificates",
       section("certificates", {{"lifetime", duration(certificates.lifetime, kLifetimeMin, kLifetimeMax)},
                                {"lifetime_max", duration(certificates.lifetime_max, kLifetimeMin, kLifetimeMax)}})},
      {"workloads", {"a list", [](const YAML::Node&) { return true; }}},  // read when the trust domain is known
  };
  if (auto read = read_fields(document, "", fields); !read) return tl::make_unexpected(std::move(read.error()));
  if (!inner) return tl::make_unexpected(std::move(inner.error()));
  if (auto checked = check_trust_domain(settings.trust_domain); !checked) {
    return tl::make_unexpected(std::move(checked.error()).wrap("identity.yaml: trust_domain"));
  }
  if (settings.authority.certificate.empty() != settings.authority.key.empty()) {
    return fail("identity.yaml: authority.certificate and authority.key: give both, or none for an own root");
  }
  certificates.lifetime_max = std::max(certificates.lifetime_max, certificates.lifetime);
  if (auto read = read_workloads(document["workloads"], settings); !read) {
    return tl::make_unexpected(std::move(read.error()));
  }
  return settings;
}

}  // namespace

Result<Settings> parse_settings(std::string_view text) {
  try {
    const auto documents = YAML::LoadAll(std::string(text));
    if (documents.size() != 1) return fail("identity.yaml: expected one document, there are {}", documents.size());
    return read_document(documents.front());
  } catch (const YAML::Exception& error) {
    return fail("identity.yaml:{}: no YAML: {}", error.mark.line + 1, error.msg);
  }
}

Result<Settings> read_settings(const std::string& path) {
  const auto text = read_small_file(path, Privacy::kAny);
  if (!text) {
    return tl::make_unexpected(
        Error{text.error().message, "name the settings file with --config; see examples/identity.yaml"});
  }
  return parse_settings(text->view());
}

}  // namespace cortexflow::identity
