// For threads whose work may take its time while requests may not.
#pragma once

namespace signalbox {

// Lets other threads of the machine go before this one, for as long as it lives, where there is not a core for each.
// It keeps about a tenth of what one of them gets: it becomes slow, and never stands still.
void MakeThisABackgroundThread();

}  // namespace signalbox
