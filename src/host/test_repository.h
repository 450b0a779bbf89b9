// The example models, trained on the real data. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/status.h"
#include "base/test_folder.h"
#include "host/films.h"
#include "host/flights.h"
#include "host/train.h"

namespace signalbox::host {

inline std::string DataFolder() { return SIGNALBOX_SOURCE_DIR "/node_modules/vega-datasets/data"; }

// Trained once per program; a test that changes a file takes a Copy.
class TestRepository {
 public:
  static constexpr uint64_t kSeed = 1;

  // nullptr, and the running test has failed with a sentence that says what to do, when there is no data to train on.
  static const TestRepository* Get() {
    static const std::unique_ptr<TestRepository> repository = Make();
    if (repository == nullptr) {
      ADD_FAILURE() << DataFolder() << " is not there: run scripts/setup, which installs the npm packages";
    }
    return repository.get();
  }

  const std::string& path() const { return folder_.path(); }
  const Films& films() const { return films_; }
  const Flights& flights() const { return flights_; }
  const std::vector<TrainedVersion>& rankers() const { return rankers_; }
  const std::vector<TrainedVersion>& scorers() const { return scorers_; }

  void Copy(const std::string& to) const {
    std::filesystem::copy(path(), to, std::filesystem::copy_options::recursive);
  }

 private:
  static std::unique_ptr<TestRepository> Make() {
    if (!std::filesystem::exists(DataFolder() + "/movies.json")) return nullptr;
    std::unique_ptr<TestRepository> repository(new TestRepository);
    absl::Status status = repository->Train();
    EXPECT_TRUE(status.ok()) << status;
    return status.ok() ? std::move(repository) : nullptr;
  }

  absl::Status Train() {
    ASSIGN_OR_RETURN(films_, LoadFilms(DataFolder()));
    ASSIGN_OR_RETURN(flights_, LoadFlights(DataFolder()));
    ASSIGN_OR_RETURN(rankers_, TrainTitleRanker(films_, path(), kSeed));
    ASSIGN_OR_RETURN(scorers_, TrainArrivalDelay(flights_, path(), kSeed));
    return absl::OkStatus();
  }

  TestFolder folder_;
  Films films_;
  Flights flights_;
  std::vector<TrainedVersion> rankers_;
  std::vector<TrainedVersion> scorers_;
};

}  // namespace signalbox::host
