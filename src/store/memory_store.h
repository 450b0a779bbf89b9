// A store in the memory of this process: for simulations and tests, where it does what the others do in the same order
// each time. Nothing runs in the background, and time is what the clock that it is given says.
#pragma once

#include <memory>
#include <string>

#include "store/store.h"
#include "store/store_clock.h"

namespace signalbox::store {

// What is stored. Outlives the stores that are opened on it, as a disk outlives processes.
class MemoryContent;
std::shared_ptr<MemoryContent> NewMemoryContent();
// As it is now: a backup.
std::shared_ptr<MemoryContent> CopyOf(const MemoryContent& content);

// A connection to `content`; several at the same time are as several processes on one store. Each may have a clock of
// its own, but what expires is counted by all of them, so that their `since_boot` should agree. `name` is for messages.
// A watch's Next() waits in real time: a simulation asks it not to, with a timeout of 0.
std::unique_ptr<Store> OpenMemoryStore(std::shared_ptr<MemoryContent> content, StoreClock clock,
                                       std::string name = "memory");

}  // namespace signalbox::store
