#include "control/clients.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace vipgate::control {
namespace {

/// Does what it is told, and remembers whether it had to go.
class TestClient final : public Client {
 public:
  explicit TestClient(Rank rank) : Client(rank) {}
  using Client::awaits_reader;
  using Client::awaits_request;
  using Client::is_served;
  bool has_left() const { return left_; }

 private:
  void make_way() override { left_ = true; }

  bool left_ = false;
};

class ClientsTest : public testing::Test {
 protected:
  /// Lets one in that says nothing; nullptr: there was no room.
  std::unique_ptr<TestClient> enter(Rank rank = Rank::ordinary) {
    auto client = std::make_unique<TestClient>(rank);
    if (!clients_->admit(*client)) return nullptr;
    client->awaits_request();
    return client;
  }
  std::vector<std::unique_ptr<TestClient>> fill(Rank rank = Rank::ordinary) {
    std::vector<std::unique_ptr<TestClient>> all;
    for (std::size_t i = 0; i < kMaxClients; ++i) all.push_back(enter(rank));
    return all;
  }
  /// Which of them had to go.
  static std::vector<std::size_t> left(const std::vector<std::unique_ptr<TestClient>>& clients) {
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < clients.size(); ++i) {
      if (clients[i]->has_left()) numbers.push_back(i);
    }
    return numbers;
  }

  std::shared_ptr<Clients> clients_ = std::make_shared<Clients>();
};

TEST_F(ClientsTest, TheOneThatHasBeenSilentLongestMakesWay) {
  const auto clients = fill();
  EXPECT_TRUE(left(clients).empty());
  clients[0]->awaits_request();  // it has asked something meanwhile
  const auto one = enter();
  const auto another = enter();
  EXPECT_EQ(left(clients), (std::vector<std::size_t>{1, 2}));
}

TEST_F(ClientsTest, WhoIsAnsweredStaysAndWhoReadsMakesWayLast) {
  const auto clients = fill();
  for (const auto& client : clients) client->is_served();
  EXPECT_EQ(enter(), nullptr) << "all are being answered";
  clients[3]->awaits_reader();
  clients[5]->awaits_request();
  const auto one = enter();
  EXPECT_EQ(left(clients), (std::vector<std::size_t>{5}));
  one->is_served();
  const auto another = enter();
  EXPECT_EQ(left(clients), (std::vector<std::size_t>{3, 5}));
  another->is_served();
  EXPECT_EQ(enter(), nullptr);
}

TEST_F(ClientsTest, WhoLeavesGivesTheirPlaceBack) {
  auto clients = fill();
  for (const auto& client : clients) client->is_served();
  clients.pop_back();
  EXPECT_NE(enter(), nullptr);
}

TEST_F(ClientsTest, RootGetsInAndMakesWayForRootAlone) {
  const auto roots = enter(Rank::root);
  auto clients = fill();
  EXPECT_EQ(left(clients), (std::vector<std::size_t>{0})) << "and not root, who was there first";
  EXPECT_FALSE(roots->has_left());
  const auto another = enter(Rank::root);
  EXPECT_EQ(left(clients), (std::vector<std::size_t>{0, 1}));
  EXPECT_FALSE(roots->has_left()) << "while others are silent";
  for (const auto& client : clients) client->is_served();
  EXPECT_EQ(enter(), nullptr);
  const auto third = enter(Rank::root);
  EXPECT_TRUE(roots->has_left());
  another->is_served();
  third->is_served();
  EXPECT_NE(enter(Rank::root), nullptr) << "even when nobody can make way";
}

}  // namespace
}  // namespace vipgate::control
