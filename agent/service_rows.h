// SPDX-License-Identifier: Apache-2.0
// A service as the control API shows it: what the manifests and the operator want, and the kernel's live figures.
#pragma once

#include "agent/compile/service_book.h"
#include "agent/control/service_view.h"
#include "agent/kernel/service_tables.h"
#include "agent/service_health.h"

namespace cortexflow {

[[nodiscard]] const char* algorithm_name(std::uint8_t algorithm);  // enum cf_svc_algorithm

[[nodiscard]] control::ServiceRow service_row(const compile::PortKey& key, const compile::Entry& entry,
                                              const compile::ServiceBook& book, const compile::ServiceInput& input,
                                              const kernel::ServiceTables& tables, const ServiceHealth& health);

// Who has an address that another service wants too, in words.
[[nodiscard]] std::string contested_text(const compile::Frontend& frontend, const compile::ServiceBook& book);

// Of a service port that is held as the agent before left it; it says all that the tables say.
[[nodiscard]] control::ServiceRow held_row(std::uint32_t number, const compile::ServiceImage& image,
                                           const kernel::ServiceTables& tables);

}  // namespace cortexflow
