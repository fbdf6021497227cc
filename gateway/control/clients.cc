#include "control/clients.h"

#include <algorithm>
#include <array>
#include <utility>

namespace vipgate::control {

Client::~Client() {
  if (clients_) clients_->clients_.erase(place_);
}

void Client::wait(Awaited what) {
  awaited_ = what;
  if (clients_) clients_->clients_.splice(clients_->clients_.end(), clients_->clients_, place_);
}

bool Clients::admit(Client& client) {
  const bool has_room = clients_.size() < kMaxClients || make_room(client.rank_);
  if (!has_room && client.rank_ != Rank::root) return false;
  client.place_ = clients_.insert(clients_.end(), &client);
  client.clients_ = shared_from_this();
  return true;
}

/// Whoever reads an answer goes after those who have asked nothing, and root after all others.
bool Clients::make_room(Rank rank) {
  using Awaited = Client::Awaited;
  constexpr std::array kOrder{std::pair(Rank::ordinary, Awaited::request), std::pair(Rank::ordinary, Awaited::reader),
                              std::pair(Rank::root, Awaited::request), std::pair(Rank::root, Awaited::reader)};
  for (const auto& [of, awaited] : kOrder) {
    if (of > rank) break;
    const auto silent =
        std::find_if(clients_.begin(), clients_.end(), [&, of = of, awaited = awaited](const Client* client) {
          return client->rank_ == of && client->awaited_ == awaited;
        });
    if (silent == clients_.end()) continue;
    Client& leaves = **silent;
    clients_.erase(silent);
    leaves.clients_.reset();
    leaves.make_way();
    return true;
  }
  return false;
}

}  // namespace vipgate::control
