// Where rules come from, told in the same way on every machine.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "signalbox/v1/rules.pb.h"

namespace signalbox::rules {

// Absolute, without `.` and `..`; the same for every way of writing a path. Symbolic links are not looked at.
std::string NormalPath(const std::string& path);

// The folder that all of `files` lie in, as a NormalPath.
std::string FolderOf(std::span<const std::string> files);

// Whether `path` lies in `folder` or below it. Both are NormalPaths.
bool LiesBelow(std::string_view folder, std::string_view path);

// Names the source of every rule by its path below the folder that all of `files` lie in: home.js, or team/home.js
// beside shared.js. `files` are the paths that `rules` was evaluated from. So what is published depends neither on the
// folder that a command was started in, nor on how a path was written.
void NameSourcesBelowTheirFolder(v1::RuleSet& rules, const std::vector<std::string>& files);

}  // namespace signalbox::rules
