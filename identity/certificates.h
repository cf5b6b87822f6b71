// SPDX-License-Identifier: Apache-2.0
// Certificates as values: read, written, asked.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "identity/openssl.h"

namespace cortexflow::identity {

inline constexpr std::size_t kChainMax = 16;       // certificates of one chain or bundle
inline constexpr std::size_t kPemMax = 1U << 18U;  // octets

// All of a PEM text, 1 to kChainMax of them.
[[nodiscard]] Result<std::vector<Certificate>> read_certificates(std::string_view pem);
[[nodiscard]] std::string pem_of(const X509* certificate);
[[nodiscard]] std::string der_of(const X509* certificate);
[[nodiscard]] Certificate copy_of(X509* certificate);

[[nodiscard]] std::chrono::system_clock::time_point not_before(const X509* certificate);
[[nodiscard]] std::chrono::system_clock::time_point not_after(const X509* certificate);
// Lower-case hexadecimal, two digits an octet.
[[nodiscard]] std::string serial_text(const X509* certificate);
// Of the subject's key (SKI), the same way; empty where the certificate doesn't name it.
[[nodiscard]] std::string key_id(X509* certificate);
// Of the issuer's key (AKI).
[[nodiscard]] std::string issuer_key_id(X509* certificate);
[[nodiscard]] std::string subject_text(const X509* certificate);
[[nodiscard]] bool is_self_signed(X509* certificate);

// "0a1f..": 1 to 40 hexadecimal digits (20 octets, RFC 5280 4.1.2.2), as serial_text has them; colons between are
// taken.
[[nodiscard]] Result<std::string> parse_serial(std::string_view text);

// Times of ASN.1 end at whole seconds.
[[nodiscard]] bool set_time(ASN1_TIME* to, std::chrono::system_clock::time_point time);

}  // namespace cortexflow::identity
