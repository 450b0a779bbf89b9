#include "telemetry/tenant_set.h"

#include <algorithm>
#include <bit>

#include "base/hash.h"

namespace signalbox::telemetry {

TenantSet::TenantSet(size_t tenants_max)
    : tenants_max_(tenants_max), slots_(std::bit_ceil(std::max<size_t>(2 * tenants_max, 2))) {}

TenantSet::~TenantSet() {
  for (const std::atomic<const std::string*>& slot : slots_) delete slot.load(std::memory_order_relaxed);
}

std::string_view TenantSet::Admit(std::string_view tenant) {
  if (tenant.size() > kTenantBytesMax) return kOther;
  const size_t mask = slots_.size() - 1;
  size_t position = StableHash64(tenant) & mask;
  const std::string* seen = slots_[position].load(std::memory_order_acquire);
  while (seen != nullptr) {
    if (*seen == tenant) return tenant;
    position = (position + 1) & mask;
    seen = slots_[position].load(std::memory_order_acquire);
  }
  // A place is claimed before it is filled: two workers that admit at once must not exceed the limit together.
  if (size_.load(std::memory_order_relaxed) >= tenants_max_) return kOther;
  if (size_.fetch_add(1, std::memory_order_relaxed) >= tenants_max_) {
    size_.fetch_sub(1, std::memory_order_relaxed);
    return kOther;
  }
  auto added = std::make_unique<const std::string>(tenant);
  while (!slots_[position].compare_exchange_strong(seen, added.get(), std::memory_order_release,
                                                   std::memory_order_acquire)) {
    if (*seen == tenant) {
      size_.fetch_sub(1, std::memory_order_relaxed);
      return tenant;
    }
    position = (position + 1) & mask;
    seen = nullptr;
  }
  static_cast<void>(added.release());  // its slot has it now
  return tenant;
}

}  // namespace signalbox::telemetry
