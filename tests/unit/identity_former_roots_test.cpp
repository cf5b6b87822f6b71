// SPDX-License-Identifier: Apache-2.0
#include <fstream>

#include "identity/authorities.h"
#include "tests/unit/identity_fixture.h"

namespace cortexflow::identity {
namespace {

using namespace std::chrono_literals;
using test::kNoon;
using test::root_authority;

std::optional<Time> until_tomorrow(const std::string&) { return kNoon + 24h; }
std::optional<Time> none(const std::string&) { return std::nullopt; }

}  // namespace

TEST_CASE(
    "the root of a replaced authority stays while its certificates stand, also over a restart; its lists are signed "
    "on") {
  const test::TemporaryDirectory place;
  const auto path = place.at("former-roots.json");
  auto opened = Authorities::open_given(root_authority(), {}, std::make_unique<KeptFile>(path));
  REQUIRE(opened);
  auto& authorities = **opened;
  REQUIRE(authorities.recall(none, kNoon));
  const auto first = authorities.current()->active().id();
  REQUIRE(authorities.replace(root_authority(), {}, until_tomorrow, kNoon));
  const auto second = authorities.current()->active().id();
  CHECK(second != first);
  CHECK(authorities.current()->roots().size() == 2);
  REQUIRE(authorities.current()->find(first) != nullptr);
  CHECK(authorities.current()->find(first)->list({{}, 1, {}, kNoon, kNoon + 1h}).has_value());
  CHECK_FALSE(*authorities.retire(until_tomorrow, kNoon + 24h));

  auto third = root_authority();
  const auto third_id = third.id();
  auto later =
      Authorities::open_given(std::move(third), {}, std::make_unique<KeptFile>(path));  // replaced while nobody looked
  REQUIRE(later);
  REQUIRE((*later)->recall(until_tomorrow, kNoon + 1h));
  CHECK((*later)->current()->active().id() == third_id);
  CHECK((*later)->current()->roots().size() == 3);
  REQUIRE((*later)->recall(until_tomorrow, kNoon + 2h));  // nothing has changed
  CHECK((*later)->current()->roots().size() == 3);
  CHECK(*(*later)->retire(until_tomorrow, kNoon + 25h));
  CHECK((*later)->current()->roots().size() == 1);

  CHECK(*authorities.retire(until_tomorrow, kNoon + 25h));
  CHECK(authorities.current()->roots().size() == 1);
  CHECK(authorities.current()->find(first) == nullptr);
}

TEST_CASE("an authority of which nothing stands leaves nothing behind; a root that comes back is there once") {
  const test::TemporaryDirectory place;
  auto opened =
      Authorities::open_given(root_authority(), {}, std::make_unique<KeptFile>(place.at("former-roots.json")));
  REQUIRE(opened);
  auto& authorities = **opened;
  REQUIRE(authorities.recall(none, kNoon));
  REQUIRE(authorities.replace(root_authority(), {}, none, kNoon));
  CHECK(*authorities.retire(none, kNoon));
  CHECK(authorities.current()->roots().size() == 1);
  std::vector<Certificate> beside;
  beside.push_back(copy_of(authorities.current()->active().root()));
  REQUIRE(authorities.replace(root_authority(), std::move(beside), until_tomorrow, kNoon));
  CHECK(authorities.current()->roots().size() == 2);
}

TEST_CASE("no more roots of before are kept than there is room for; the authority that is there goes on") {
  const test::TemporaryDirectory place;
  auto opened =
      Authorities::open_given(root_authority(), {}, std::make_unique<KeptFile>(place.at("former-roots.json")));
  REQUIRE(opened);
  auto& authorities = **opened;
  REQUIRE(authorities.recall(none, kNoon));
  for (std::size_t i = 0; i < FormerRoots::kMax; ++i) {
    REQUIRE(authorities.replace(root_authority(), {}, until_tomorrow, kNoon));
  }
  const auto active = authorities.current()->active().id();
  CHECK_FALSE(authorities.replace(root_authority(), {}, until_tomorrow, kNoon));
  CHECK(authorities.current()->active().id() == active);
}

TEST_CASE("a torn file of former roots is refused with what to do about it") {
  const test::TemporaryDirectory place;
  for (const std::string text : {"", "{", "{}", R"({"active":{"issuer":"a","root":"x"},"former":[]})",
                                 R"({"active":{"issuer":"a"},"former":[]})", R"([1])"}) {
    const auto path = place.at("former-roots.json");
    std::ofstream(path) << text;
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    const auto opened = Authorities::open_given(root_authority(), {}, std::make_unique<KeptFile>(path));
    REQUIRE_FALSE(opened);
    CHECK(opened.error().to_string().find("remove it") != std::string::npos);
  }
}

}  // namespace cortexflow::identity
