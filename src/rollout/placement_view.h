// Why each model is where it is, put into words only when somebody asks.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rollout/work.h"

namespace signalbox::rollout {

class PlacementViewer {
 public:
  // Takes from a step that is over what a view is made of.
  void Take(Work& work);
  const PlacementView& view() const;

 private:
  Needs needs_;
  Placed placed_;
  std::shared_ptr<const assign::Result> plan_;
  std::map<std::string, std::vector<std::string>> waits_;
  mutable PlacementView view_;
  mutable bool is_made_ = true;
};

}  // namespace signalbox::rollout
