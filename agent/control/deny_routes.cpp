// SPDX-License-Identifier: Apache-2.0
// The control API's part on the deny list.
#include <httplib.h>

#include "agent/control/json.h"
#include "agent/control/response.h"
#include "agent/control/server.h"
#include "agent/control/time_text.h"
#include "agent/model/address_port.h"

namespace cortexflow::control {
namespace {

using nlohmann::ordered_json;

tl::unexpected<Refused> no_edge() {
  return tl::make_unexpected(Refused{404, {"this agent has no edge", "set edge.interfaces"}});
}

bool covers(const std::string& cidr, const model::IpAddress& address) {
  const auto slash = cidr.find('/');
  const auto prefix = model::IpAddress::parse(cidr.substr(0, slash));
  if (!prefix || slash == std::string::npos || prefix->is_v4() != address.is_v4()) return false;
  const auto length = static_cast<unsigned>(std::stoul(cidr.substr(slash + 1))) + (prefix->is_v4() ? 96U : 0U);
  for (unsigned bit = 0; bit < length; ++bit) {
    const auto mask = 0x80U >> (bit % 8);
    if ((prefix->octets[bit / 8] & mask) != (address.octets[bit / 8] & mask)) return false;
  }
  return true;
}

ordered_json to_json(const DenyRow& row) {
  return {{"cidr", row.cidr},
          {"ports", row.ports},
          {"direction", row.direction},
          {"mode", row.mode},
          {"expires", row.expires ? ordered_json(time_text(*row.expires)) : ordered_json(nullptr)},
          {"origin", row.origin}};
}

ordered_json to_json(const DenyView& view) {
  auto entries = ordered_json::array();
  for (const auto& row : view.entries) entries.push_back(to_json(row));
  return {{"entries", std::move(entries)},
          {"hook", view.hook},
          {"problem", view.problem},
          {"denied", view.denied},
          {"audited", view.audited}};
}

}  // namespace

Answer<ordered_json> Server::deny_list_now(const Parameters& parameters) const {
  std::optional<model::AddressPort> wanted;
  if (const auto text = value_of(parameters, "address")) {
    wanted = model::parse_address_port(*text);
    if (!wanted || wanted->port) {
      return tl::make_unexpected(
          Refused{400, {fmt::format("address={}: expected an address", *text), "such as 192.0.2.1"}});
    }
  }
  auto view = deny_ ? deny_->deny_list() : Answer<DenyView>(no_edge());
  if (!view) return tl::make_unexpected(view.error());
  if (wanted) {
    std::erase_if(view->entries, [&](const auto& row) { return !covers(row.cidr, wanted->address); });
  }
  return to_json(*view);
}

void Server::serve_deny_list(const Parameters& parameters, httplib::Response& response) {
  const auto now = deny_list_now(parameters);
  if (!now) return refuse(response, now.error().status, now.error().error);
  answer(response, *now);
}

// The list as it is after a change of it.
Done Server::then_deny_list(Done done, ordered_json& now) const {
  if (!done) return done;
  auto list = deny_list_now({});
  if (!list) return tl::make_unexpected(list.error());
  now = std::move(*list);
  return {};
}

Done Server::put_deny_list(const Parameters&, const ordered_json& body, ordered_json& now) {
  if (!deny_) return no_edge();
  const auto entry = body.is_discarded() ? "" : body.dump(-1, ' ', true, ordered_json::error_handler_t::replace);
  return then_deny_list(deny_->deny(entry), now);
}

Done Server::delete_deny_list(const Parameters& parameters, const ordered_json&, ordered_json& now) {
  const auto cidr = value_of(parameters, "cidr");
  // Refused here, so that it can't be more than a text in what is made of it.
  if (!cidr || cidr->empty() || cidr->find_first_not_of("0123456789abcdefABCDEF.:/") != std::string::npos) {
    return tl::make_unexpected(Refused{400, {"cidr: expected an address, or ADDRESS/LENGTH", "such as 192.0.2.0/24"}});
  }
  return deny_ ? then_deny_list(deny_->allow(*cidr), now) : Done(no_edge());
}

}  // namespace cortexflow::control
