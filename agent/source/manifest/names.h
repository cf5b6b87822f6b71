// SPDX-License-Identifier: Apache-2.0
// Names as the Kubernetes API server accepts them (k8s.io/apimachinery/pkg/util/validation).
#pragma once

#include <string_view>

namespace cortexflow::source {

[[nodiscard]] constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }  // std::isdigit asks the locale
[[nodiscard]] bool is_dns1123_label(std::string_view text);                     // a-z 0-9 -, 63
[[nodiscard]] bool is_dns1035_label(std::string_view text);                     // the same, and begins with a letter
[[nodiscard]] bool is_dns1123_subdomain(std::string_view text);                 // labels joined by dots, 253
[[nodiscard]] bool is_label_key(std::string_view text);                         // [subdomain/]name
[[nodiscard]] bool is_label_value(std::string_view text);                       // may be empty; 63
[[nodiscard]] bool is_iana_service_name(std::string_view text);                 // RFC 6335 5.1

}  // namespace cortexflow::source
