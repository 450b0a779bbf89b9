// The tenants that have metrics of their own. Tenants are named by clients, so their number must be bounded.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace signalbox::telemetry {

// What further tenants are counted as.
inline constexpr std::string_view kOther = "other";

// Grows to `tenants_max` names and never shrinks. Shared by all workers, so that a tenant is not counted under its name
// by one and as "other" by the next. Lock-free; allocates when a tenant is admitted, never afterwards.
class TenantSet {
 public:
  // A longer name is counted as "other": it would be repeated in every line of every scrape.
  static constexpr size_t kTenantBytesMax = 128;

  explicit TenantSet(size_t tenants_max);
  ~TenantSet();
  TenantSet(const TenantSet&) = delete;
  TenantSet& operator=(const TenantSet&) = delete;

  // `tenant` itself when it is in the set or there was room for it, else kOther.
  std::string_view Admit(std::string_view tenant);

 private:
  const size_t tenants_max_;
  std::atomic<size_t> size_{0};
  // Open addressing, at most half full, so that a search always ends.
  std::vector<std::atomic<const std::string*>> slots_;
};

}  // namespace signalbox::telemetry
