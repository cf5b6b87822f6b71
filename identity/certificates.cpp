// SPDX-License-Identifier: Apache-2.0
#include "identity/certificates.h"

#include <openssl/pem.h>

#include <algorithm>
#include <cctype>

namespace cortexflow::identity {
namespace {

using std::chrono::system_clock;

constexpr std::size_t kSerialDigitsMax = 40;

std::string hex_of(const ASN1_STRING* octets) {
  std::string out;
  if (octets == nullptr) return out;
  const auto* data = ASN1_STRING_get0_data(octets);
  for (int i = 0; i < ASN1_STRING_length(octets); ++i) out += fmt::format("{:02x}", data[i]);
  return out;
}

system_clock::time_point time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return system_clock::from_time_t(timegm(&parts));
}

std::string text_in(BIO* memory) {
  char* octets = nullptr;
  const long size = BIO_get_mem_data(memory, &octets);
  return {octets, static_cast<std::size_t>(size)};
}

}  // namespace

Result<std::vector<Certificate>> read_certificates(std::string_view pem) {
  if (pem.size() > kPemMax) return fail("the certificates are longer than {} octets", kPemMax);
  const Bio memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::vector<Certificate> out;
  while (true) {
    Certificate one(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
    if (!one) break;
    if (out.size() == kChainMax) return fail("there are more than {} certificates", kChainMax);
    out.push_back(std::move(one));
  }
  const auto reason = ERR_GET_REASON(ERR_peek_last_error());
  if (reason != PEM_R_NO_START_LINE) return fail_openssl("a certificate in PEM cannot be read");
  ERR_clear_error();
  if (out.empty()) return fail("there is no certificate in PEM");
  return out;
}

std::string pem_of(const X509* certificate) {
  const Bio memory(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(memory.get(), certificate);
  return text_in(memory.get());
}

std::string der_of(const X509* certificate) { return der_of(certificate, i2d_X509); }

Certificate copy_of(X509* certificate) {
  X509_up_ref(certificate);
  return Certificate(certificate);
}

system_clock::time_point not_before(const X509* certificate) { return time_of(X509_get0_notBefore(certificate)); }
system_clock::time_point not_after(const X509* certificate) { return time_of(X509_get0_notAfter(certificate)); }
std::string serial_text(const X509* certificate) { return hex_of(X509_get0_serialNumber(certificate)); }
std::string key_id(X509* certificate) { return hex_of(X509_get0_subject_key_id(certificate)); }
std::string issuer_key_id(X509* certificate) { return hex_of(X509_get0_authority_key_id(certificate)); }

std::string subject_text(const X509* certificate) {
  const Bio memory(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(memory.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  return text_in(memory.get());
}

bool is_self_signed(X509* certificate) {
  const bool is = X509_self_signed(certificate, 1) == 1;
  ERR_clear_error();
  return is;
}

Result<std::string> parse_serial(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != ':') digits += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  const bool hex = std::all_of(digits.begin(), digits.end(),
                               [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (digits.empty() || digits.size() > kSerialDigitsMax || !hex) {
    return fail("a serial number has 1 to {} hexadecimal digits", kSerialDigitsMax);
  }
  return digits.size() % 2 == 0 ? digits : "0" + digits;
}

bool set_time(ASN1_TIME* to, system_clock::time_point time) {
  return ASN1_TIME_adj(to, system_clock::to_time_t(time), 0, 0) != nullptr;
}

}  // namespace cortexflow::identity
