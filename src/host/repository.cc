#include "host/repository.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/status.h"

namespace signalbox::host {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNameBytesMax = 200;
// A folder with more was not meant; each costs a line in every index.
constexpr size_t kVersionsMax = 10'000;
constexpr char kNotLoaded[] = "not loaded";
constexpr char kUnloaded[] = "unloaded on request";

bool IsModelName(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
         });
}

std::optional<int64_t> ParseVersion(std::string_view text) {
  int64_t version = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version < 1 || text.front() == '0')
    return std::nullopt;
  return version;
}

absl::StatusOr<std::optional<int64_t>> RequestedVersion(std::string_view name, std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::optional<int64_t> version = ParseVersion(text);
  if (!version) {
    return absl::InvalidArgumentError(
        fmt::format("model \"{}\": version \"{}\" is not a number from 1; leave it empty for the highest "
                    "that is loaded",
                    name.substr(0, kNameBytesMax), text.substr(0, 40)));
  }
  return version;
}

using Found = std::map<std::string, std::vector<int64_t>, std::less<>>;

absl::StatusOr<Found> ListFolder(const std::string& folder) {
  Found found;
  size_t versions = 0;
  std::error_code error;
  for (fs::directory_iterator model(folder, error), end; !error && model != end; model.increment(error)) {
    const std::string name = model->path().filename().string();
    std::error_code skipped;  // not a folder, or gone since: not a model
    if (!IsModelName(name) || !model->is_directory(skipped)) continue;
    for (fs::directory_iterator version(model->path(), skipped); !skipped && version != end;
         version.increment(skipped)) {
      std::error_code unreadable;
      std::optional<int64_t> number = ParseVersion(version->path().filename().string());
      if (!number || !version->is_directory(unreadable)) continue;
      if (++versions > kVersionsMax) {
        return absl::ResourceExhaustedError(fmt::format("{}: more than {} model versions", folder, kVersionsMax));
      }
      found[name].push_back(*number);
    }
  }
  if (error) return absl::FailedPreconditionError(fmt::format("list {}: {}", folder, error.message()));
  return found;
}

// Of a version's folder; what cannot be read is a mistake that its loading will tell.
uint64_t BytesOfFiles(const std::string& path) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::directory_iterator file(path, error), end; !error && file != end; file.increment(error)) {
    std::error_code unreadable;
    const uint64_t size = file->file_size(unreadable);
    if (!unreadable) bytes += size;
  }
  return bytes;
}

}  // namespace

std::string_view Name(ModelState state) {
  switch (state) {
    case ModelState::kUnavailable:
      return "UNAVAILABLE";
    case ModelState::kLoading:
      return "LOADING";
    case ModelState::kReady:
      return "READY";
  }
  return "UNAVAILABLE";
}

absl::StatusOr<std::unique_ptr<Repository>> Repository::Open(std::string folder, uint64_t memory_bytes_max) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return absl::NotFoundError(fmt::format(
        "{}: expected the folder of a model repository; `signalbox train --out {}` writes one", folder, folder));
  }
  std::unique_ptr<Repository> repository(new Repository(std::move(folder), memory_bytes_max));
  RETURN_IF_ERROR(repository->Scan());
  return repository;
}

absl::Status Repository::Scan() const {
  ASSIGN_OR_RETURN(Found found, ListFolder(folder_));
  std::unique_lock lock(mutex_);
  for (auto& [name, versions] : models_) {
    auto here = found.find(name);
    std::erase_if(versions, [&](const auto& version) {
      const bool on_disk = here != found.end() &&
                           std::find(here->second.begin(), here->second.end(), version.first) != here->second.end();
      return !on_disk && version.second.state == ModelState::kUnavailable;
    });
  }
  for (const auto& [name, versions] : found) {
    for (int64_t version : versions) models_[name].try_emplace(version, Entry{.reason = kNotLoaded, .model = nullptr});
  }
  std::erase_if(models_, [](const auto& model) { return model.second.empty(); });
  return absl::OkStatus();
}

absl::Status Repository::UnknownModel(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const auto& [known, versions] : models_) names.push_back(known);
  return absl::NotFoundError(fmt::format("no model \"{}\" in this repository; it has {}", name.substr(0, kNameBytesMax),
                                         names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
}

absl::Status Repository::UnknownVersion(std::string_view name, std::string_view version,
                                        const Versions& versions) const {
  std::vector<int64_t> numbers;
  for (const auto& [number, entry] : versions) numbers.push_back(number);
  return absl::NotFoundError(fmt::format("model \"{}\" has no version {} in this repository; it has {}", name, version,
                                         fmt::join(numbers, ", ")));
}

absl::StatusOr<LoadedModel> Repository::Find(std::string_view name, std::string_view version) const {
  ASSIGN_OR_RETURN(std::optional<int64_t> number, RequestedVersion(name, version));
  std::shared_lock lock(mutex_);
  auto model = models_.find(name);
  if (model == models_.end()) return UnknownModel(name);
  const Versions& versions = model->second;
  if (number) {
    auto entry = versions.find(*number);
    if (entry == versions.end()) return UnknownVersion(name, version, versions);
    if (entry->second.state == ModelState::kReady) {
      return LoadedModel{model->first, *number, entry->second.model, entry->second.memory_bytes};
    }
    return absl::UnavailableError(fmt::format("model \"{}\" version {} is {}: {}", name, version,
                                              Name(entry->second.state), entry->second.reason));
  }
  for (auto entry = versions.rbegin(); entry != versions.rend(); ++entry) {
    if (entry->second.state != ModelState::kReady) continue;
    return LoadedModel{model->first, entry->first, entry->second.model, entry->second.memory_bytes};
  }
  return absl::UnavailableError(fmt::format("model \"{}\": no version is loaded; version {} is {}: {}", name,
                                            versions.rbegin()->first, Name(versions.rbegin()->second.state),
                                            versions.rbegin()->second.reason));
}

std::vector<int64_t> Repository::LoadedVersions(std::string_view name) const {
  std::vector<int64_t> loaded;
  std::shared_lock lock(mutex_);
  auto model = models_.find(name);
  if (model == models_.end()) return loaded;
  for (const auto& [version, entry] : model->second) {
    if (entry.state == ModelState::kReady) loaded.push_back(version);
  }
  return loaded;
}

absl::StatusOr<std::vector<int64_t>> Repository::Select(std::string_view name, std::string_view version) const {
  ASSIGN_OR_RETURN(std::optional<int64_t> number, RequestedVersion(name, version));
  RETURN_IF_ERROR(Scan());
  std::shared_lock lock(mutex_);
  auto model = models_.find(name);
  if (model == models_.end()) return UnknownModel(name);
  std::vector<int64_t> selected;
  for (const auto& [candidate, entry] : model->second) {
    if (!number || *number == candidate) selected.push_back(candidate);
  }
  if (selected.empty()) return UnknownVersion(name, version, model->second);
  return selected;
}

absl::Status Repository::Load(std::string_view name, std::string_view version) {
  std::lock_guard one_at_a_time(loading_);
  ASSIGN_OR_RETURN(std::vector<int64_t> versions, Select(name, version));
  std::vector<std::string> failures;
  absl::StatusCode code = absl::StatusCode::kFailedPrecondition;
  for (int64_t number : versions) {
    if (stopping_) return absl::CancelledError(fmt::format("model \"{}\" was not loaded: the host stops", name));
    if (absl::Status status = LoadVersion(std::string(name), number); !status.ok()) {
      failures.push_back(fmt::format("model \"{}\" version {}: {}", name, number, Message(status)));
      if (absl::IsResourceExhausted(status)) code = status.code();
    }
  }
  if (failures.empty()) return absl::OkStatus();
  return absl::Status(code, fmt::format("{}", fmt::join(failures, "; ")));
}

uint64_t Repository::memory_bytes() const {
  std::shared_lock lock(mutex_);
  uint64_t bytes = 0;
  for (const auto& [name, versions] : models_) {
    for (const auto& [version, entry] : versions) bytes += entry.memory_bytes;
  }
  return bytes;
}

absl::Status Repository::CheckMemory(uint64_t bytes) const {
  const uint64_t used = memory_bytes();
  if (memory_bytes_max_ == 0 || used + bytes <= memory_bytes_max_) return absl::OkStatus();
  return absl::ResourceExhaustedError(fmt::format(
      "its files have {} bytes, {} of the {} bytes for models (--memory-bytes) are in use: unload others first", bytes,
      used, memory_bytes_max_));
}

absl::Status Repository::LoadVersion(const std::string& name, int64_t version) {
  {
    std::unique_lock lock(mutex_);
    Entry& entry = models_[name][version];
    if (entry.state == ModelState::kReady) return absl::OkStatus();
    entry = {.state = ModelState::kLoading, .reason = "being loaded", .model = nullptr};
  }
  const std::string path = fmt::format("{}/{}/{}", folder_, name, version);
  const uint64_t bytes = BytesOfFiles(path);
  // One load at a time: nobody else takes the room that is left.
  const absl::Status room = CheckMemory(bytes);
  absl::StatusOr<std::unique_ptr<const Model>> model = room.ok() ? LoadModel(path) : room;
  std::unique_lock lock(mutex_);
  Entry& entry = models_[name][version];
  if (!model.ok()) {
    entry = {.state = ModelState::kUnavailable, .reason = std::string(Message(model.status())), .model = nullptr};
    return model.status();
  }
  entry = {.state = ModelState::kReady, .reason = "", .model = *std::move(model), .memory_bytes = bytes};
  return absl::OkStatus();
}

absl::Status Repository::LoadAll() {
  std::vector<std::string> names;
  {
    std::shared_lock lock(mutex_);
    for (const auto& [name, versions] : models_) names.push_back(name);
  }
  std::vector<std::string> failures;
  for (const std::string& name : names) {
    if (absl::Status status = Load(name, ""); !status.ok()) failures.emplace_back(Message(status));
  }
  if (failures.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format("{}", fmt::join(failures, "; ")));
}

absl::Status Repository::Unload(std::string_view name, std::string_view version) {
  // Not while a load runs: what was unloaded must not come back by one that began before.
  std::lock_guard one_at_a_time(loading_);
  ASSIGN_OR_RETURN(std::vector<int64_t> versions, Select(name, version));
  std::unique_lock lock(mutex_);
  auto known = models_.find(name);
  // An index may have noticed meanwhile that the folder is gone; then nothing of it was loaded.
  if (known == models_.end()) return absl::OkStatus();
  for (int64_t number : versions) {
    auto entry = known->second.find(number);
    if (entry != known->second.end() && entry->second.state == ModelState::kReady) {
      entry->second = {.reason = kUnloaded, .model = nullptr};
    }
  }
  return absl::OkStatus();
}

std::vector<ModelIndexEntry> Repository::Index() const {
  // A folder that cannot be listed just now hides what is new in it, not what is loaded.
  Scan().IgnoreError();
  std::vector<ModelIndexEntry> index;
  std::shared_lock lock(mutex_);
  for (const auto& [name, versions] : models_) {
    for (const auto& [version, entry] : versions) {
      index.push_back({.name = name, .version = version, .state = entry.state, .reason = entry.reason});
    }
  }
  return index;
}

}  // namespace signalbox::host
