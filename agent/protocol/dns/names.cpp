// SPDX-License-Identifier: Apache-2.0
#include "agent/protocol/dns/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace cortexflow::protocol::dns {
namespace {

struct Row {
  std::uint16_t number;
  std::string_view name;
};

// By number.  Obsolete types are still asked for, so they are here.
constexpr Row kTypes[] = {
    {1, "A"},          {2, "NS"},        {3, "MD"},          {4, "MF"},     {5, "CNAME"},     {6, "SOA"},
    {7, "MB"},         {8, "MG"},        {9, "MR"},          {10, "NULL"},  {11, "WKS"},      {12, "PTR"},
    {13, "HINFO"},     {14, "MINFO"},    {15, "MX"},         {16, "TXT"},   {17, "RP"},       {18, "AFSDB"},
    {19, "X25"},       {20, "ISDN"},     {21, "RT"},         {22, "NSAP"},  {23, "NSAP-PTR"}, {24, "SIG"},
    {25, "KEY"},       {26, "PX"},       {27, "GPOS"},       {28, "AAAA"},  {29, "LOC"},      {30, "NXT"},
    {31, "EID"},       {32, "NIMLOC"},   {33, "SRV"},        {34, "ATMA"},  {35, "NAPTR"},    {36, "KX"},
    {37, "CERT"},      {38, "A6"},       {39, "DNAME"},      {40, "SINK"},  {41, "OPT"},      {42, "APL"},
    {43, "DS"},        {44, "SSHFP"},    {45, "IPSECKEY"},   {46, "RRSIG"}, {47, "NSEC"},     {48, "DNSKEY"},
    {49, "DHCID"},     {50, "NSEC3"},    {51, "NSEC3PARAM"}, {52, "TLSA"},  {53, "SMIMEA"},   {55, "HIP"},
    {56, "NINFO"},     {57, "RKEY"},     {58, "TALINK"},     {59, "CDS"},   {60, "CDNSKEY"},  {61, "OPENPGPKEY"},
    {62, "CSYNC"},     {63, "ZONEMD"},   {64, "SVCB"},       {65, "HTTPS"}, {66, "DSYNC"},    {67, "HHIT"},
    {68, "BRID"},      {99, "SPF"},      {100, "UINFO"},     {101, "UID"},  {102, "GID"},     {103, "UNSPEC"},
    {104, "NID"},      {105, "L32"},     {106, "L64"},       {107, "LP"},   {108, "EUI48"},   {109, "EUI64"},
    {128, "NXNAME"},   {249, "TKEY"},    {250, "TSIG"},      {251, "IXFR"}, {252, "AXFR"},    {253, "MAILB"},
    {254, "MAILA"},    {255, "ANY"},     {256, "URI"},       {257, "CAA"},  {258, "AVC"},     {259, "DOA"},
    {260, "AMTRELAY"}, {261, "RESINFO"}, {262, "WALLET"},    {263, "CLA"},  {264, "IPN"},     {32768, "TA"},
    {32769, "DLV"},
};

constexpr Row kClasses[] = {{1, "IN"}, {3, "CH"}, {4, "HS"}, {254, "NONE"}, {255, "ANY"}};

// 16 is BADSIG in a TSIG record; a lookup's rcode comes from the header and OPT, where it is BADVERS (RFC 6891 9).
constexpr Row kRcodes[] = {
    {0, "NOERROR"},  {1, "FORMERR"},    {2, "SERVFAIL"}, {3, "NXDOMAIN"},  {4, "NOTIMP"},
    {5, "REFUSED"},  {6, "YXDOMAIN"},   {7, "YXRRSET"},  {8, "NXRRSET"},   {9, "NOTAUTH"},
    {10, "NOTZONE"}, {11, "DSOTYPENI"}, {16, "BADVERS"}, {17, "BADKEY"},   {18, "BADTIME"},
    {19, "BADMODE"}, {20, "BADNAME"},   {21, "BADALG"},  {22, "BADTRUNC"}, {23, "BADCOOKIE"},
};

constexpr bool by_number(const Row& a, const Row& b) { return a.number < b.number; }
static_assert(std::is_sorted(std::begin(kTypes), std::end(kTypes), by_number));
static_assert(std::is_sorted(std::begin(kRcodes), std::end(kRcodes), by_number));

template <std::size_t N>
const Row* find_number(const Row (&rows)[N], std::uint16_t number) {
  const auto* row = std::lower_bound(std::begin(rows), std::end(rows), Row{number, {}}, by_number);
  return row != std::end(rows) && row->number == number ? row : nullptr;
}

template <std::size_t N>
std::string name_of(const Row (&rows)[N], std::uint16_t number, std::string_view prefix) {
  const Row* row = find_number(rows, number);
  return row ? std::string(row->name) : fmt::format("{}{}", prefix, number);
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool equal_any_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return upper(x) == upper(y); });
}

std::optional<std::uint16_t> parse_number(std::string_view digits) {
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

template <std::size_t N>
std::optional<std::uint16_t> parse(const Row (&rows)[N], std::string_view text, std::string_view prefix) {
  for (const Row& row : rows) {
    if (equal_any_case(row.name, text)) return row.number;
  }
  if (equal_any_case(text.substr(0, prefix.size()), prefix)) text.remove_prefix(prefix.size());
  return parse_number(text);
}

}  // namespace

std::string type_name(std::uint16_t type) { return name_of(kTypes, type, "TYPE"); }
std::string class_name(std::uint16_t dns_class) { return name_of(kClasses, dns_class, "CLASS"); }
std::string rcode_name(std::uint16_t rcode) { return name_of(kRcodes, rcode, "RCODE"); }

bool type_has_name(std::uint16_t type) { return find_number(kTypes, type) != nullptr; }
bool rcode_has_name(std::uint16_t rcode) { return find_number(kRcodes, rcode) != nullptr; }

std::optional<std::uint16_t> parse_type(std::string_view text) {
  if (text == "*") return std::uint16_t{255};
  return parse(kTypes, text, "TYPE");
}

std::optional<std::uint16_t> parse_rcode(std::string_view text) { return parse(kRcodes, text, "RCODE"); }

}  // namespace cortexflow::protocol::dns
