#include "host/repository.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "base/canonical_json.h"
#include "base/file.h"
#include "host/test_repository.h"

namespace signalbox::host {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A copy of the trained repository that a test may damage.
class RepositoryTest : public testing::Test {
 protected:
  void SetUp() override {
    const TestRepository* trained = TestRepository::Get();
    ASSERT_NE(trained, nullptr);
    trained->Copy(path_);
    auto repository = Repository::Open(path_);
    ASSERT_TRUE(repository.ok()) << repository.status();
    repository_ = *std::move(repository);
  }

  std::string ReasonOf(const std::string& name, int64_t version) const {
    for (const ModelIndexEntry& entry : repository_->Index()) {
      if (entry.name == name && entry.version == version) return entry.reason;
    }
    return "not in the index";
  }

  TestFolder folder_;
  const std::string path_ = folder_.File("models");
  std::unique_ptr<Repository> repository_;
};

TEST_F(RepositoryTest, NothingIsLoadedUntilItIsAskedFor) {
  EXPECT_TRUE(absl::IsUnavailable(repository_->Find("title-ranker", "").status()));
  ASSERT_TRUE(repository_->Load("title-ranker", "1").ok());
  auto model = repository_->Find("title-ranker", "");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->version, 1);
  EXPECT_TRUE(absl::IsUnavailable(repository_->Find("title-ranker", "2").status()));
}

TEST_F(RepositoryTest, AnEmptyVersionIsTheHighestThatIsLoaded) {
  ASSERT_TRUE(repository_->LoadAll().ok());
  EXPECT_THAT(repository_->LoadedVersions("title-ranker"), ElementsAre(1, 2, 3));
  EXPECT_EQ(repository_->Find("title-ranker", "")->version, 3);
  ASSERT_TRUE(repository_->Unload("title-ranker", "3").ok());
  EXPECT_EQ(repository_->Find("title-ranker", "")->version, 2);
  ASSERT_TRUE(repository_->Unload("title-ranker", "").ok());
  EXPECT_TRUE(absl::IsUnavailable(repository_->Find("title-ranker", "").status()));
  EXPECT_EQ(ReasonOf("title-ranker", 1), "unloaded on request");
}

TEST_F(RepositoryTest, WhatIsNotThereIsToldWithWhatIs) {
  EXPECT_THAT(std::string(Message(repository_->Find("ranker", "").status())),
              HasSubstr("no model \"ranker\" in this repository; it has arrival-delay, title-ranker"));
  EXPECT_THAT(std::string(Message(repository_->Find("title-ranker", "9").status())),
              HasSubstr("has no version 9 in this repository; it has 1, 2, 3"));
  for (const char* version : {"0", "-1", "01", "one", "1.0", "99999999999999999999"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(repository_->Find("title-ranker", version).status())) << version;
  }
  for (const char* name : {"", "..", "../title-ranker", "a/b"}) {
    EXPECT_TRUE(absl::IsNotFound(repository_->Load(name, ""))) << name;
  }
}

TEST_F(RepositoryTest, AModelThatIsUnloadedAnswersWhoeverHoldsIt) {
  ASSERT_TRUE(repository_->Load("arrival-delay", "2").ok());
  auto held = repository_->Find("arrival-delay", "2");
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(repository_->Unload("arrival-delay", "").ok());
  inference::ModelInferResponse response;
  EXPECT_TRUE(held->model->Infer(held->model->workflow().sample_request(), {}, response).ok());
}

TEST_F(RepositoryTest, AVersionThatArrivesLaterIsFound) {
  std::filesystem::copy(path_ + "/arrival-delay/2", path_ + "/arrival-delay/7");
  EXPECT_EQ(ReasonOf("arrival-delay", 7), "not loaded");
  ASSERT_TRUE(repository_->Load("arrival-delay", "7").ok());
  EXPECT_EQ(repository_->Find("arrival-delay", "")->version, 7);
}

TEST_F(RepositoryTest, AVersionWhoseFolderGoesStaysLoadedUntilItIsUnloaded) {
  ASSERT_TRUE(repository_->Load("arrival-delay", "").ok());
  std::filesystem::remove_all(path_ + "/arrival-delay/2");
  EXPECT_EQ(ReasonOf("arrival-delay", 2), "");
  EXPECT_TRUE(repository_->Find("arrival-delay", "2").ok());
  ASSERT_TRUE(repository_->Unload("arrival-delay", "2").ok());
  EXPECT_EQ(ReasonOf("arrival-delay", 2), "not in the index");
}

TEST_F(RepositoryTest, OtherThingsInTheFolderAreNotModels) {
  std::filesystem::create_directories(path_ + "/.hidden/1");
  std::filesystem::create_directories(path_ + "/title-ranker/latest");
  std::filesystem::create_directories(path_ + "/no versions");
  ASSERT_TRUE(WriteFileAtomically(path_ + "/README", "text").ok());
  EXPECT_EQ(repository_->Index().size(), 5U);
}

TEST_F(RepositoryTest, ABrokenVersionSaysWhyAndLeavesTheOthersAlone) {
  const struct {
    const char* what;
    std::function<void(const std::string&)> damage;
    const char* reason;
  } cases[] = {
      {"no workflow", [](const std::string& folder) { std::filesystem::remove(folder + "/workflow.json"); },
       "workflow.json"},
      {"workflow is not JSON",
       [](const std::string& folder) { (void)WriteFileAtomically(folder + "/workflow.json", "{"); }, "workflow.json"},
      {"workflow of nothing",
       [](const std::string& folder) { (void)WriteFileAtomically(folder + "/workflow.json", "{}"); },
       "kind is not set"},
      {"no model file", [](const std::string& folder) { std::filesystem::remove(folder + "/model.ubj"); }, "model.ubj"},
      {"truncated model", [](const std::string& folder) { std::filesystem::resize_file(folder + "/model.ubj", 1000); },
       "SHA-256"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    std::filesystem::remove_all(path_ + "/title-ranker/2");
    std::filesystem::copy(TestRepository::Get()->path() + "/title-ranker/2", path_ + "/title-ranker/2");
    c.damage(path_ + "/title-ranker/2");
    const absl::Status status = repository_->Load("title-ranker", "");
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("model \"title-ranker\" version 2: "));
    EXPECT_THAT(ReasonOf("title-ranker", 2), HasSubstr(c.reason));
    EXPECT_THAT(repository_->LoadedVersions("title-ranker"), ElementsAre(1, 3));
  }
}

// Files whose checksums are right and whose content is not: what a broken trainer would write.
class BrokenWorkflowTest : public RepositoryTest {
 protected:
  std::string LoadChanged(const std::function<void(VersionFolder&)>& change) {
    auto folder = ReadVersionFolder(path_ + "/arrival-delay/2");
    EXPECT_TRUE(folder.ok()) << folder.status();
    change(*folder);
    EXPECT_TRUE(WriteVersionFolder(path_ + "/arrival-delay/3", *std::move(folder)).ok());
    const absl::Status status = repository_->Load("arrival-delay", "3");
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    return std::string(Message(status));
  }
};

TEST_F(BrokenWorkflowTest, IsRefusedWithTheReason) {
  EXPECT_THAT(LoadChanged([](auto& f) { f.files[kModelFile] = "not trees"; }), HasSubstr("XGBoost, read the model"));
  EXPECT_THAT(LoadChanged([](auto& f) { f.files[kModelFile].resize(500); }), HasSubstr("XGBoost, read the model"));
  EXPECT_THAT(LoadChanged([](auto& f) { f.workflow.mutable_features()->RemoveLast(); }),
              HasSubstr("trained on 8 features, the workflow computes 7"));
  EXPECT_THAT(LoadChanged([](auto& f) { f.workflow.set_features(0, "weather"); }),
              HasSubstr("unknown feature \"weather\"; this kind of workflow has minute_of_day"));
  EXPECT_THAT(LoadChanged([](auto& f) { f.workflow.clear_encodings(); }), HasSubstr("has no entry in encodings"));
  EXPECT_THAT(LoadChanged([](auto& f) { f.workflow.clear_sample_request(); }),
              HasSubstr("cannot answer its own sample request"));
  EXPECT_THAT(LoadChanged([](auto& f) { f.workflow.set_kind(v1::Workflow::TITLE_RANKING); }), HasSubstr("films.json"));
}

TEST_F(RepositoryTest, AWorkflowCannotReachOutOfItsFolder) {
  auto folder = ReadVersionFolder(path_ + "/arrival-delay/2");
  ASSERT_TRUE(folder.ok());
  for (const char* name : {"../1/model.ubj", "/etc/hostname", "..", ""}) {
    v1::Workflow workflow = folder->workflow;
    (*workflow.mutable_file_sha256())[name] = "";
    ASSERT_TRUE(WriteFileAtomically(path_ + "/arrival-delay/2/workflow.json", *CanonicalJson(workflow)).ok());
    EXPECT_THAT(std::string(Message(repository_->Load("arrival-delay", "2"))), HasSubstr("is not the name of a file"))
        << name;
  }
}

TEST_F(RepositoryTest, RequestsAreAnsweredWhileModelsComeAndGo) {
  ASSERT_TRUE(repository_->Load("arrival-delay", "1").ok());
  std::thread loads([&] {
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(repository_->Load("arrival-delay", "2").ok());
      EXPECT_TRUE(repository_->Unload("arrival-delay", "2").ok());
    }
  });
  for (int i = 0; i < 300; ++i) {
    auto found = repository_->Find("arrival-delay", "");
    ASSERT_TRUE(found.ok()) << found.status();
    inference::ModelInferResponse response;
    ASSERT_TRUE(found->model->Infer(found->model->workflow().sample_request(), {}, response).ok());
    ASSERT_EQ(response.outputs(0).contents().fp32_contents_size(), 1);
  }
  loads.join();
}

TEST(Repository, AFolderThatIsNoneIsRefused) {
  TestFolder folder;
  absl::Status status = Repository::Open(folder.File("absent")).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(Message(status)), HasSubstr("signalbox train --out"));
  EXPECT_TRUE(Repository::Open(folder.path()).ok()) << "an empty folder is a repository that waits for its models";
}

}  // namespace
}  // namespace signalbox::host
