// SPDX-License-Identifier: Apache-2.0
#include "agent/deny_book.h"

#include <spdlog/spdlog.h>

#include "agent/base/replace_file.h"
#include "agent/put_aside.h"
#include "agent/source/deny_list_text.h"

namespace cortexflow {

DenyBook DenyBook::open(std::string path) {
  DenyBook book(std::move(path));
  auto read = source::read_deny_list_file(book.path_);
  if (read) {
    book.list_ = std::move(*read);
    return book;
  }
  spdlog::error("the operator's deny list is not used: {}; {}", read.error().to_string(), put_aside(book.path_));
  return book;
}

Result<void> DenyBook::write(const model::DenyList& list) const {
  return replace_file(path_, source::deny_list_text(list));
}

}  // namespace cortexflow
