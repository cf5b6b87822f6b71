// SPDX-License-Identifier: Apache-2.0
#include "identity/workload/wiping_memory.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "identity/secret.h"

namespace cortexflow::identity {
namespace {

void wipe_and_free(void* memory, void* /*user*/) {
  if (memory == nullptr) return;
  OPENSSL_cleanse(memory, malloc_usable_size(memory));
  std::free(memory);
}

void* move_to(void* memory, std::size_t size, void* user) {
  void* fresh = std::malloc(size);
  if (fresh == nullptr || memory == nullptr) return fresh;
  std::memcpy(fresh, memory, std::min(size, malloc_usable_size(memory)));
  wipe_and_free(memory, user);
  return fresh;
}

}  // namespace

nghttp2_mem* wiping_memory() {
  static nghttp2_mem memory{nullptr, [](std::size_t size, void*) { return std::malloc(size); }, wipe_and_free,
                            [](std::size_t count, std::size_t size, void*) { return std::calloc(count, size); },
                            move_to};
  return &memory;
}

}  // namespace cortexflow::identity
