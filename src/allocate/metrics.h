// What platforms and workers have counted, as Prometheus metric families.
#pragma once

#include <memory>
#include <vector>

#include "allocate/platform.h"
#include "allocate/worker_cells.h"
#include "prometheus/metric_family.h"

namespace signalbox::allocate {

// The families that allocator.h lists.
std::vector<prometheus::MetricFamily> CollectFamilies(const std::vector<std::unique_ptr<Platform>>& platforms,
                                                      const std::vector<std::unique_ptr<WorkerCells>>& workers);

}  // namespace signalbox::allocate
