// SPDX-License-Identifier: Apache-2.0
#include "identity/ledger_record.h"

#include <nlohmann/json.hpp>

namespace cortexflow::identity {
namespace {

using nlohmann::ordered_json;

std::int64_t seconds_of(Time time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}
Time time_at(const ordered_json& value) { return Time(std::chrono::seconds(value.get<std::int64_t>())); }

ordered_json json_of(const Entry& entry) {
  return {{"issued", entry.serial},
          {"id", entry.id},
          {"issuer", entry.issuer},
          {"from", seconds_of(entry.not_before)},
          {"until", seconds_of(entry.not_after)}};
}
ordered_json json_of(const RevokedRecord& record) {
  return {
      {"revoked", record.serial}, {"at", seconds_of(record.time)}, {"reason", record.reason}, {"list", record.list}};
}
ordered_json json_of(const ListRecord& record) {
  return {{"list_of", record.issuer},
          {"number", record.state.number},
          {"base", record.state.base},
          {"base_at", seconds_of(record.state.base_time)}};
}

LedgerRecord record_of(const ordered_json& json) {
  if (json.contains("issued")) {
    Entry entry;
    entry.serial = json.at("issued").get<std::string>();
    entry.id = json.at("id").get<std::string>();
    entry.issuer = json.at("issuer").get<std::string>();
    entry.not_before = time_at(json.at("from"));
    entry.not_after = time_at(json.at("until"));
    return entry;
  }
  if (json.contains("revoked")) {
    return RevokedRecord{json.at("revoked").get<std::string>(), time_at(json.at("at")), json.at("reason").get<int>(),
                         json.at("list").get<std::uint64_t>()};
  }
  return ListRecord{
      json.at("list_of").get<std::string>(),
      {json.at("number").get<std::uint64_t>(), json.at("base").get<std::uint64_t>(), time_at(json.at("base_at"))}};
}

}  // namespace

std::string text_of(const LedgerRecord& record) {
  return std::visit([](const auto& one) { return json_of(one).dump(); }, record);
}

Result<LedgerRecord> parse_ledger_record(std::string_view text) {
  const auto json = ordered_json::parse(text, nullptr, false);
  if (!json.is_object()) return fail("a record is no JSON object");
  try {
    return record_of(json);
  } catch (const ordered_json::exception&) {
    return fail("a record lacks a member, or has one of another type");
  }
}

}  // namespace cortexflow::identity
