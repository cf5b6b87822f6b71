// SPDX-License-Identifier: Apache-2.0
#include "identity/verification.h"

#include "identity/certificates.h"
#include "identity/csr.h"

namespace cortexflow::identity {
namespace {

using Store = std::unique_ptr<X509_STORE, FreedBy<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, FreedBy<X509_STORE_CTX_free>>;
struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using Stack = std::unique_ptr<STACK_OF(X509), FreeStack>;

Result<NamesRead> check_leaf(X509* leaf) {
  if (X509_check_ca(leaf) != 0) return fail("the first certificate is an authority's, no workload's");
  constexpr std::uint32_t kNone = UINT32_MAX;  // what OpenSSL says where there is no such extension
  const auto usage = X509_get_key_usage(leaf);
  if (usage == kNone || (usage & KU_DIGITAL_SIGNATURE) == 0) return fail("its key may not sign (digitalSignature)");
  if ((usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0) return fail("its key may sign certificates or lists");
  return names_of(*leaf);
}

}  // namespace

Result<Verified> verify_chain(const std::vector<X509*>& chain, const std::vector<X509*>& roots, Time now) {
  if (chain.empty()) return fail("there is no certificate");
  const Store store(X509_STORE_new());
  const Stack others(sk_X509_new_null());
  const StoreContext context(X509_STORE_CTX_new());
  if (!store || !others || !context) return fail_openssl("cannot verify");
  for (auto* root : roots) X509_STORE_add_cert(store.get(), root);
  for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(others.get(), chain[i]);
  if (X509_STORE_CTX_init(context.get(), store.get(), chain.front(), others.get()) != 1) {
    return fail_openssl("cannot verify");
  }
  X509_VERIFY_PARAM* how = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(how, X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set_time(how, std::chrono::system_clock::to_time_t(now));
  if (X509_verify_cert(context.get()) != 1) {
    const int code = X509_STORE_CTX_get_error(context.get());
    ERR_clear_error();
    return fail("{}", X509_verify_cert_error_string(code));
  }
  auto names = check_leaf(chain.front());
  if (!names) return tl::make_unexpected(std::move(names.error()));
  return Verified{std::move(names->id), serial_text(chain.front()), issuer_key_id(chain.front())};
}

}  // namespace cortexflow::identity
