// SPDX-License-Identifier: Apache-2.0
// A text in a Secret that the term has for itself: taking it over changes its version, so that the API server refuses
// whatever an earlier holder still sends, however late it comes.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "identity/cluster/secret_store.h"
#include "identity/cluster/term.h"
#include "identity/kept_text.h"

namespace cortexflow::identity {

class HeldSecret {
 public:
  static constexpr const char* kKey = "text";  // of the Secret's data

  // Where there is none, there is none afterwards.
  [[nodiscard]] static Result<HeldSecret> take(std::shared_ptr<SecretStore> store, std::shared_ptr<Term> term,
                                               std::string name);
  // Writes it anew, over what may be there under that version ("": nothing).
  [[nodiscard]] static Result<HeldSecret> make(std::shared_ptr<SecretStore> store, std::shared_ptr<Term> term,
                                               std::string name, std::string version, std::string text);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& version() const { return version_; }           // empty: there is none
  [[nodiscard]] const std::optional<std::string>& text() const { return text_; }  // nothing: none was written yet
  // Kept when it returns.  Where it fails, the term is over.
  [[nodiscard]] Result<void> replace(std::string text);

 private:
  HeldSecret(std::shared_ptr<SecretStore> store, std::shared_ptr<Term> term, std::string name)
      : store_(std::move(store)), term_(std::move(term)), name_(std::move(name)) {}

  std::shared_ptr<SecretStore> store_;
  std::shared_ptr<Term> term_;
  std::string name_;
  std::string version_;
  std::optional<std::string> text_;
};

class KeptSecret : public KeptText {
 public:
  explicit KeptSecret(HeldSecret held) : held_(std::move(held)) {}
  [[nodiscard]] std::string name() const override { return "Secret " + held_.name(); }
  [[nodiscard]] Result<std::optional<Secret>> read() const override;
  [[nodiscard]] Result<void> replace(std::string_view text) override { return held_.replace(std::string(text)); }

 private:
  HeldSecret held_;
};

}  // namespace cortexflow::identity
