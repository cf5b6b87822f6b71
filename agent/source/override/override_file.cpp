// SPDX-License-Identifier: Apache-2.0
#include "agent/source/override/override_file.h"

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "agent/model/address_port.h"
#include "agent/source/manifest/file_text.h"

namespace cortexflow::source {
namespace {

using model::BackendAddress;
using nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr std::size_t kOctetsMax = 64U << 20U;

std::string backend_text(const BackendAddress& backend) {
  return model::address_port_text(backend.address, backend.port);
}

std::optional<BackendAddress> parse_backend(const std::string& text) {
  const auto endpoint = model::parse_address_port(text);
  if (!endpoint || endpoint->port.value_or(0) == 0) return std::nullopt;
  return BackendAddress{endpoint->address, *endpoint->port};
}

// Throws nothing: what is not as expected is an error in words.
class Reader {
 public:
  Result<model::ServiceOverrides> read(const ordered_json& root) {
    if (!root.is_object() || root.value("version", ordered_json()) != kVersion) {
      return fail("expected an object with version {}", kVersion);
    }
    const auto services = root.find("services");
    if (root.size() != 2 || services == root.end() || !services->is_object()) {
      return fail("expected version and services, and nothing else");
    }
    for (const auto& [name, item] : services->items()) {
      if (auto done = service(name, item); !done) return tl::make_unexpected(std::move(done.error()).wrap(name));
    }
    return std::move(out_);
  }

 private:
  Result<void> service(const std::string& name, const ordered_json& item) {
    const auto slash = name.find('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == name.size()) return fail("expected NAMESPACE/NAME");
    if (!item.is_object()) return fail("expected an object");
    model::ServiceOverride set;
    for (const auto& [key, value] : item.items()) {
      Result<void> done;
      if (key == "subset_weights") {
        done = weights(value, [&](const std::string& subset, std::uint32_t weight) {
          set.subset_weights[subset] = weight;
          return true;
        });
      } else if (key == "backend_weights") {
        done = weights(value, [&](const std::string& text, std::uint32_t weight) {
          const auto backend = parse_backend(text);
          if (backend) set.backend_weights[*backend] = weight;
          return backend.has_value();
        });
      } else if (key == "drained") {
        done = drained(value, set);
      } else {
        done = fail("unknown; expected subset_weights, backend_weights or drained");
      }
      if (!done) return tl::make_unexpected(std::move(done.error()).wrap(key));
    }
    if (!set.empty()) out_[{name.substr(0, slash), name.substr(slash + 1)}] = std::move(set);
    return {};
  }

  static Result<void> weights(const ordered_json& value,
                              const std::function<bool(const std::string&, std::uint32_t)>& set) {
    if (!value.is_object()) return fail("expected an object");
    for (const auto& [target, weight] : value.items()) {
      if (!weight.is_number_unsigned() || weight.get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) {
        return fail("{}: expected a weight", target);
      }
      if (!set(target, weight.get<std::uint32_t>())) return fail("{}: expected ADDRESS:PORT", target);
    }
    return {};
  }

  static Result<void> drained(const ordered_json& value, model::ServiceOverride& set) {
    if (!value.is_array()) return fail("expected a list");
    for (const auto& item : value) {
      const auto backend = item.is_string() ? parse_backend(item.get<std::string>()) : std::nullopt;
      if (!backend) return fail("expected ADDRESS:PORT");
      set.drained.insert(*backend);
    }
    return {};
  }

  model::ServiceOverrides out_;
};

}  // namespace

Result<model::ServiceOverrides> parse_overrides(std::string_view text) {
  const auto root = ordered_json::parse(text, nullptr, false);
  if (root.is_discarded()) return fail("not JSON");
  return Reader().read(root);
}

std::string overrides_text(const model::ServiceOverrides& overrides) {
  auto services = ordered_json::object();
  for (const auto& [name, set] : overrides) {
    auto& item = services[name.ns + "/" + name.name] = ordered_json::object();
    for (const auto& [subset, weight] : set.subset_weights) item["subset_weights"][subset] = weight;
    for (const auto& [backend, weight] : set.backend_weights) item["backend_weights"][backend_text(backend)] = weight;
    for (const auto& backend : set.drained) item["drained"].push_back(backend_text(backend));
  }
  return ordered_json{{"version", kVersion}, {"services", std::move(services)}}.dump(1) + "\n";
}

Result<model::ServiceOverrides> read_overrides(const std::string& path) {
  auto text = read_text(path, kOctetsMax);
  if (!text) return tl::make_unexpected(std::move(text.error()).wrap(path));
  if (!*text) return model::ServiceOverrides{};
  auto read = parse_overrides(**text);
  if (!read) return tl::make_unexpected(std::move(read.error()).wrap(path));
  return read;
}

}  // namespace cortexflow::source
