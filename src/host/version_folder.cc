#include "host/version_folder.h"

#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include <fmt/format.h>

#include "base/canonical_json.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"

namespace signalbox::host {
namespace {

namespace fs = std::filesystem;

// Ours have less than 1 MB; a tree model of a few thousand rounds has tens.
constexpr size_t kModelFileBytesMax = 256 << 20;
constexpr size_t kWorkflowBytesMax = 16 << 20;
constexpr int kFilesMax = 16;

absl::Status Broken(const std::string& path, std::string_view reason) {
  return absl::FailedPreconditionError(fmt::format("{}: {}", path, reason));
}

}  // namespace

absl::StatusOr<VersionFolder> ReadVersionFolder(const std::string& path) {
  const std::string workflow_path = path + "/" + kWorkflowFile;
  absl::StatusOr<std::string> json = ReadFile(workflow_path, kWorkflowBytesMax);
  if (!json.ok()) return absl::FailedPreconditionError(Message(json.status()).data());
  VersionFolder folder;
  if (absl::Status status = ParseJson(*json, folder.workflow); !status.ok())
    return Broken(workflow_path, Message(status));
  if (folder.workflow.file_sha256_size() > kFilesMax) {
    return Broken(workflow_path,
                  fmt::format("{} files, the limit is {}", folder.workflow.file_sha256_size(), kFilesMax));
  }
  for (const auto& [name, sha256] : folder.workflow.file_sha256()) {
    if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos) {
      return Broken(workflow_path, fmt::format("file_sha256: \"{}\" is not the name of a file of this folder", name));
    }
    absl::StatusOr<std::string> content = ReadFile(path + "/" + name, kModelFileBytesMax);
    if (!content.ok()) return absl::FailedPreconditionError(Message(content.status()).data());
    if (std::string found = Sha256Hex(*content); found != sha256) {
      return Broken(path + "/" + name,
                    fmt::format("SHA-256 is {}, {} says {}: the file is not the one that was written; train it "
                                "again or copy it whole",
                                found, kWorkflowFile, sha256));
    }
    folder.files.emplace(name, *std::move(content));
  }
  return folder;
}

absl::Status WriteVersionFolder(const std::string& path, VersionFolder content) {
  const fs::path target(path);
  const fs::path temporary = target.parent_path() / fmt::format(".{}.tmp-{}", target.filename().string(), getpid());
  std::error_code error;
  fs::create_directories(temporary, error);
  if (error) return absl::UnavailableError(fmt::format("create {}: {}", temporary.string(), error.message()));

  content.workflow.clear_file_sha256();
  for (const auto& [name, bytes] : content.files) {
    (*content.workflow.mutable_file_sha256())[name] = Sha256Hex(bytes);
    RETURN_IF_ERROR(WriteFileAtomically(temporary / name, bytes));
  }
  ASSIGN_OR_RETURN(std::string json, CanonicalJson(content.workflow));
  // Indented: people read it to learn what a model does.
  std::string readable = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false).dump(2) + "\n";
  RETURN_IF_ERROR(WriteFileAtomically(temporary / kWorkflowFile, readable));

  fs::remove_all(target, error);
  if (!error) fs::rename(temporary, target, error);
  if (error) return absl::UnavailableError(fmt::format("replace {}: {}", path, error.message()));
  return absl::OkStatus();
}

}  // namespace signalbox::host
