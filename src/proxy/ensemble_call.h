// Several models asked at once, as an ensemble of the rules says: for the first answer, or for all of them, which are
// made into one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decide/decide.h"
#include "proxy/model_call.h"

namespace signalbox::proxy {

// Of one member's answer, where answers are made into one.
inline constexpr size_t kMemberAnswerBytesMax = 4 << 20;

// Whoever wants what an ensemble answers. It may end the call in any of these.
class EnsembleOwner : public CallOwner {
 public:
  // All that have to have answered have: `message` is what their answers make together, an
  // inference.ModelInferResponse.
  virtual void OnCombined(std::string message) = 0;
  // Too few answered, or what they answered does not fit together. Nobody is asked any more.
  virtual void OnEnsembleFailed(const absl::Status& why) = 0;

 protected:
  ~EnsembleOwner() = default;
};

// For its worker's thread. Is reused by its owner.
class EnsembleCall final : private CallOwner {
 public:
  EnsembleCall(Worker& worker, EnsembleOwner& owner) : worker_(worker), owner_(owner) {}
  EnsembleCall(const EnsembleCall&) = delete;
  EnsembleCall& operator=(const EnsembleCall&) = delete;

  // Asks all members. UNAVAILABLE: too few can be asked, and the owner hears nothing more.
  //
  // The first good answer of a race is reported by OnCallAnswered and what follows, of the member's call; the others
  // are cancelled.
  absl::Status Start(const CallSetting& setting, const decide::Answer& answer);
  void OnBodyGrew();
  void LetGo();
  bool active() const { return answer_ != nullptr; }
  // Makes an answer of what has come by now. False when that is too little.
  bool CombineNow();
  // How many of the members made the answer.
  size_t answered() const { return answered_; }

 private:
  struct Member {
    Member(Worker& worker, CallOwner& owner);
    ModelCall call;
    double weight = 0;
    enum class State : uint8_t { kAsked, kAnswered, kFailed } state = State::kAsked;
    BodyQueue body;  // of its answer, collected
  };

  void AddHostHeaders(const Attempt& attempt, HeaderFields& fields) override { owner_.AddHostHeaders(attempt, fields); }
  std::string_view SuffixFor(const Attempt& attempt, std::string& buffer) override {
    return owner_.SuffixFor(attempt, buffer);
  }
  void OnBodyTaken() override { owner_.OnBodyTaken(); }
  void OnCallAnswered(ModelCall& call, bool ended) override;
  void OnCallData(ModelCall& call) override;
  void OnCallEnd(ModelCall& call) override;
  void OnCallFailed(ModelCall& call, const absl::Status& why) override;

  bool is_race() const;
  // Of a race.
  void DropLaggards();
  size_t needed() const;
  Member& MemberOf(const ModelCall& call);
  void Fail(Member& member, const absl::Status& why);
  // After a member has come to its end.
  void Reconsider();
  absl::StatusOr<std::string> Combine() const;

  Worker& worker_;
  EnsembleOwner& owner_;
  const decide::Answer* answer_ = nullptr;
  std::vector<std::unique_ptr<Member>> members_;  // as many as were ever needed
  size_t count_ = 0;
  const RequestBody* body_ = nullptr;
  size_t answered_ = 0;
  size_t failed_ = 0;
  const ModelCall* winner_ = nullptr;
  absl::Status last_failure_;
};

}  // namespace signalbox::proxy
