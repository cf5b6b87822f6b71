// SPDX-License-Identifier: Apache-2.0
// Services: policies that an operator has applied, beside those of the manifests and the cluster.
#include <algorithm>

#include "agent/operator_request.h"
#include "agent/services.h"

namespace cortexflow {
namespace {

constexpr std::size_t kRefusalsSaid = 10;

control::PolicyChange change_of(const model::ObjectKey& key, std::string change) {
  return {std::string(model::kind_name(key.kind)), key.name.ns + "/" + key.name.name, std::move(change)};
}

std::string words_of(const std::vector<model::Refusal>& refusals) {
  std::vector<std::string> words;
  for (const auto& one : refusals) {
    if (words.size() == kRefusalsSaid) break;
    words.push_back(fmt::format("{}{}", one.file.empty() ? fmt::format("line {}: ", one.line) : "", one.to_string()));
  }
  if (refusals.size() > kRefusalsSaid) words.push_back(fmt::format("{} more", refusals.size() - kRefusalsSaid));
  return fmt::format("{}", fmt::join(words, "; "));
}

// While its file has something that can't be read, it would be lost with the next write.
std::optional<Error> unwritable(const PolicyBook& book) {
  if (book.refusals().empty()) return std::nullopt;
  return Error{fmt::format("of the operator's policies something can't be read: {}", words_of(book.refusals())),
               "mend that file, or take it out of there, and start the agent again"};
}

}  // namespace

// Where somebody else has the policy, who counts before the operator; empty: nobody has.
std::string Services::place_of_policy(const model::ObjectKey& key) const {
  std::vector<std::size_t> sources;
  {
    const std::lock_guard lock(mutex_);
    sources = desired_.sources_of(key);
    if (sources.empty() && sources_unread_.objects.contains(key)) return "documents that can't be read";
  }
  if (sources.empty()) return "";
  if (sources.front() == Sources::kKubernetes) return "cluster";
  if (sources.front() == Sources::kOperator) return source::kOperatorSource;
  const std::lock_guard lock(sources_mutex_);
  const auto place = sources_.place_of(key);
  return place ? fmt::format("{}:{}", place->file, place->line) : std::string(source::kManifestSource);
}

control::Answer<control::PolicyCheck> Services::check(const control::PolicyQuery& query) const {
  std::optional<model::ObjectName> service;
  {
    const std::lock_guard lock(mutex_);
    if (const auto address = model::IpAddress::parse(query.to)) {
      if (const auto* name = service_addresses_.find(*address)) service = *name;
    } else if (const auto name = object_name(query.to)) {
      const auto snapshot = desired_.snapshot();
      if (!snapshot->pods.find(*name) && snapshot->services.find(*name)) service = *name;
    }
  }
  if (!service) return policies_.check(query);
  const auto name = service->ns + "/" + service->name;
  return refused(400,
                 {fmt::format("{} is the service {}, and policy is about the backend that a call gets", query.to, name),
                  fmt::format("give a backend (cfcli service describe {0}), or ask cfcli explain {1} {0}:PORT", name,
                              query.from)});
}

control::PolicyList Services::policies() const {
  auto out = policies_.policies();
  for (auto& row : out.policies) {
    const auto kind = model::parse_kind(row.kind);
    const auto name = object_name(row.name);
    if (kind && name) row.origin = place_of_policy({*kind, *name});
  }
  return out;
}

control::Answer<control::PolicySimulation> Services::simulate_policies(const std::string& documents,
                                                                       const control::Flows& flows) const {
  const auto read = source::read_policy_documents(documents);
  if (!read.refusals.empty()) return refused(400, {words_of(read.refusals), "nothing was tried"});
  if (read.documents.empty()) return refused(400, {"there is no policy in it", "see examples/policy"});
  return policies_.simulate(read.documents, flows);
}

control::Answer<control::PolicyChanges> Services::apply_policies(const std::string& documents, bool dry_run) {
  auto read = source::read_policy_documents(documents);
  if (!read.refusals.empty()) return refused(400, {words_of(read.refusals), "nothing was applied"});
  if (read.documents.empty()) return refused(400, {"there is no policy in it", "see examples/policy"});
  const std::lock_guard one_at_a_time(writes_mutex_);
  if (auto why = unwritable(policy_book_)) return refused(409, std::move(*why));
  auto all = policy_book_.documents();
  control::PolicyChanges out;
  out.dry_run = dry_run;
  model::SourceUpdate update;
  std::size_t octets = 0;
  for (auto& [key, document] : read.documents) {
    if (const auto place = place_of_policy(key); !place.empty() && place != source::kOperatorSource) {
      return refused(409, {fmt::format("{} is there already: {}", key.to_string(), place),
                           "change it there, or give this one another name; nothing was applied"});
    }
    const auto known = all.find(key);
    const bool same = known != all.end() && model::same_value(known->second.object, document.object);
    out.changes.push_back(change_of(key, same ? "unchanged" : known != all.end() ? "configured" : "created"));
    if (same) continue;
    update.changes.push_back({key, document.object});
    all.insert_or_assign(key, std::move(document));
  }
  for (const auto& [key, document] : all) octets += document.text.size();
  if (all.size() > source::kOperatorPoliciesMax || octets > source::kOperatorPoliciesOctetsMax / 2) {
    return refused(507, {fmt::format("that would be {} policies of {} octets, {} of {} are possible", all.size(),
                                     octets, source::kOperatorPoliciesMax, source::kOperatorPoliciesOctetsMax / 2),
                         "delete some, or write them among the manifests"});
  }
  return keep_policies(std::move(out), std::move(all), std::move(update));
}

control::Answer<control::PolicyChanges> Services::delete_policy(const std::string& kind, const std::string& name) {
  const auto parsed = object_name(name);
  if (!parsed) return refused(400, parsed.error());
  if (!kind.empty() && kind != "AuthorizationPolicy" && kind != "NetworkPolicy") {
    return refused(400, {fmt::format("kind={}: expected AuthorizationPolicy or NetworkPolicy", kind), ""});
  }
  const std::lock_guard one_at_a_time(writes_mutex_);
  if (auto why = unwritable(policy_book_)) return refused(409, std::move(*why));
  auto all = policy_book_.documents();
  std::vector<model::ObjectKey> keys;
  for (const auto wanted : {model::Kind::kAuthorizationPolicy, model::Kind::kNetworkPolicy}) {
    if (kind.empty() || kind == model::kind_name(wanted)) keys.push_back({wanted, *parsed});
  }
  std::string elsewhere;
  for (const auto& key : keys) {
    if (all.contains(key) || !elsewhere.empty()) continue;
    if (const auto place = place_of_policy(key); !place.empty()) elsewhere = fmt::format("; it is of {}", place);
  }
  std::erase_if(keys, [&](const auto& key) { return !all.contains(key); });
  if (keys.size() > 1) {
    return refused(409, {fmt::format("{} is an AuthorizationPolicy and a NetworkPolicy", name), "give KIND/" + name});
  }
  if (keys.empty()) {
    return refused(404, {fmt::format("the operator has applied no policy {}{}", name, elsewhere),
                         "see cfcli policy list; what the manifests or the cluster have is deleted there"});
  }
  control::PolicyChanges out;
  out.changes.push_back(change_of(keys.front(), "deleted"));
  all.erase(keys.front());
  model::SourceUpdate update;
  update.changes.push_back({keys.front(), std::nullopt});
  return keep_policies(std::move(out), std::move(all), std::move(update));
}

// Under writes_mutex_.  On disk first: what the kernel enforces is enforced after the next start too.
control::Answer<control::PolicyChanges> Services::keep_policies(control::PolicyChanges out, PolicyBook::Documents all,
                                                                model::SourceUpdate changes) {
  if (out.dry_run) return out;
  const auto remarks = policies_.refusals();
  if (!changes.changes.empty()) {
    if (auto kept = policy_book_.write(all); !kept) return refused(500, std::move(kept.error()));
    {
      const std::lock_guard lock(mutex_);
      policy_book_.set(std::move(all));
    }
    std::vector<Error> errors;
    update({Sources::kOperator, std::move(changes)}, errors);
    if (!errors.empty()) out.problem = errors.front().to_string();
  }
  if (out.problem.empty()) out.problem = policies_.not_in_force();
  for (auto& words : policies_.refusals()) {
    if (std::find(remarks.begin(), remarks.end(), words) == remarks.end()) out.remarks.push_back(std::move(words));
  }
  return out;
}

}  // namespace cortexflow
