// What limits, bulkheads and overload control are at, as Prometheus metric families.
#pragma once

#include <memory>
#include <vector>

#include "prometheus/metric_family.h"
#include "proxy/process_limits.h"

namespace signalbox::proxy {

class Worker;

// The families that proxy.h lists. Any thread.
std::vector<prometheus::MetricFamily> CollectLimits(const ProcessLimits& limits,
                                                    const std::vector<std::unique_ptr<Worker>>& workers);

}  // namespace signalbox::proxy
