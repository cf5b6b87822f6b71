// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace cortexflow::cli {

// A name whose value is a secret: key, pass, pwd, password, passphrase, secret, token, credential or authorization is
// in it, however it is written ("dbPassword", "AWS_SECRET_ACCESS_KEY").  "token_file" and "key_type" are none, as a
// path or a kind is not a secret, nor is a bare "key": Kubernetes' word for the name of a label.
[[nodiscard]] bool names_secret(std::string_view name);

}  // namespace cortexflow::cli
