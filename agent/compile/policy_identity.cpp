// SPDX-License-Identifier: Apache-2.0
#include "agent/compile/policy_identity.h"

#include <fmt/format.h>

#include <bit>

#include "bpf/abi/policy.h"

namespace cortexflow::compile {
namespace {

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  void rounds(int times) {
    for (int i = 0; i < times; ++i) {
      v0 += v1, v2 += v3;
      v1 = std::rotl(v1, 13) ^ v0, v3 = std::rotl(v3, 16) ^ v2;
      v0 = std::rotl(v0, 32);
      v2 += v1, v0 += v3;
      v1 = std::rotl(v1, 17) ^ v2, v3 = std::rotl(v3, 21) ^ v0;
      v2 = std::rotl(v2, 32);
    }
  }
  void take(std::uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  }
};

}  // namespace

std::string PolicyIdentity::to_string() const {
  std::string text = ns + "/" + service_account;
  char before = ' ';
  for (const auto& [key, value] : labels) {
    text += before + key + "=" + value;
    before = ',';
  }
  for (const auto& port : ports)
    text += fmt::format(" {}:{}/{}", port.name, port.port, static_cast<int>(port.protocol));
  if (!managed) text += " unmanaged";
  if (unsure) text += " perhaps unmanaged";
  return text;
}

PolicyIdentity identity_of(const model::Pod& pod, const std::set<std::string>& label_keys,
                           const std::set<std::string>& port_names) {
  PolicyIdentity out{pod.name.ns, pod.service_account, {}};
  for (const auto& port : pod.ports) {
    if (port_names.contains(port.name)) out.ports.insert(port);
  }
  for (const auto& [key, value] : pod.labels) {
    if (label_keys.contains(key)) out.labels.emplace(key, value);
  }
  return out;
}

const std::string* mesh_label(const model::Pod& pod, const model::Labels* of_namespace) {
  for (const auto* labels : {&pod.labels, of_namespace}) {
    if (!labels) continue;
    const auto found = labels->find(kMeshLabel);
    if (found != labels->end()) return &found->second;
  }
  return nullptr;
}

std::uint64_t siphash(const HashKey& key, std::string_view text) {
  SipState state{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                 key[1] ^ 0x7465646279746573};
  std::uint64_t word = 0;
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    word |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[at])) << (8 * (at % 8));
    if (at % 8 != 7) continue;
    state.take(word);
    word = 0;
  }
  state.take(word | static_cast<std::uint64_t>(text.size()) << 56);
  state.v2 ^= 0xff;
  state.rounds(4);
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

std::uint64_t identity_number(const HashKey& key, const PolicyIdentity& identity) {
  const auto number = siphash(key, identity.to_string());
  return number < CF_POLICY_ID_FIRST ? number + CF_POLICY_ID_FIRST : number;
}

}  // namespace cortexflow::compile
