// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nghttp2/nghttp2.h>

namespace cortexflow::identity {

// Memory for a session of libnghttp2 that is wiped when it is freed: what is sent stays in its buffers until then.
[[nodiscard]] nghttp2_mem* wiping_memory();

}  // namespace cortexflow::identity
