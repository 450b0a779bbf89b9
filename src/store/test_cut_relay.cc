#include "store/test_cut_relay.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>
#include <utility>

namespace signalbox::store {
namespace {

sockaddr_in AddressOf(const std::string& endpoint) {
  const size_t colon = endpoint.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(endpoint.substr(colon + 1))));
  inet_pton(AF_INET, endpoint.substr(0, colon).c_str(), &address.sin_addr);
  return address;
}

bool SendAll(int to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

CutRelay::CutRelay(const std::string& endpoint) : target_(endpoint) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  stop_ = eventfd(0, EFD_CLOEXEC);
  release_ = eventfd(0, EFD_CLOEXEC);
  sockaddr_in address = AddressOf("127.0.0.1:0");
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(listener_, 16), 0);
  EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
  endpoint_ = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  acceptor_ = std::jthread([this] { Accept(); });
}

CutRelay::~CutRelay() {
  const uint64_t one = 1;
  EXPECT_EQ(write(stop_, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  acceptor_.join();
  connections_.clear();
  close(listener_);
  close(stop_);
  close(release_);
}

bool CutRelay::ReleaseAndWaitForAnswer(std::chrono::milliseconds timeout) {
  const uint64_t one = 1;
  EXPECT_EQ(write(release_, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!has_answered_ && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return has_answered_;
}

void CutRelay::CutAt(std::string bytes, Loses loses) {
  std::lock_guard lock(mutex_);
  cut_at_ = std::move(bytes);
  loses_ = loses;
}

void CutRelay::Accept() {
  while (true) {
    pollfd descriptors[] = {{listener_, POLLIN, 0}, {stop_, POLLIN, 0}};
    poll(descriptors, 2, -1);
    if (descriptors[1].revents != 0) return;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) connections_.emplace_back([this, client] { Carry(client); });
  }
}

void CutRelay::Carry(int client) {
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = AddressOf(target_);
  bool is_open = connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  bool is_cut = false;
  Loses loses = Loses::kAnswers;
  std::string said;  // what may be the beginning of the bytes
  std::string held;
  bool is_released = false;
  char buffer[16 << 10];
  while (is_open) {
    pollfd descriptors[] = {{client, POLLIN, 0}, {server, POLLIN, 0}, {stop_, POLLIN, 0}, {release_, POLLIN, 0}};
    poll(descriptors, held.empty() || is_released ? 3 : 4, -1);
    if (descriptors[2].revents != 0) break;
    if (!held.empty() && !is_released && descriptors[3].revents != 0) {
      is_released = true;
      is_open = SendAll(server, held);
    }
    if (descriptors[0].revents != 0) {
      const ssize_t got = recv(client, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      const std::string_view bytes(buffer, static_cast<size_t>(got));
      said += bytes;
      std::lock_guard lock(mutex_);
      if (!is_cut && !cut_at_.empty() && said.find(cut_at_) != std::string::npos) {
        is_cut = true;
        loses = loses_;
        has_cut_ = true;
        if (loses == Loses::kUntilReleased) held = bytes;
      }
      if (said.size() > cut_at_.size()) said.erase(0, said.size() - cut_at_.size());
      if (!is_cut || loses == Loses::kAnswers) is_open = SendAll(server, bytes);
    }
    if (descriptors[1].revents != 0) {
      const ssize_t got = recv(server, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      if (is_released) has_answered_ = true;
      if (!is_cut) is_open = SendAll(client, {buffer, static_cast<size_t>(got)});
    }
  }
  close(client);
  close(server);
}

}  // namespace signalbox::store
