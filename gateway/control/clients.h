#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>

namespace vipgate::control {

/// Most clients at a time, of each listener.
inline constexpr std::size_t kMaxClients = 32;

/// Who goes before whom when there are too many.
enum class Rank : std::uint8_t {
  ordinary,
  root,  ///< always finds room, and makes way only for root
};

class Clients;

/// One who is served.
class Client {
 public:
  virtual ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

 protected:
  explicit Client(Rank rank) : rank_(rank) {}

  /// Another one needs the room.
  virtual void make_way() = 0;

  /// From now on its own move is awaited: a request of it, or that it reads an answer.
  void awaits_request() { wait(Awaited::request); }
  void awaits_reader() { wait(Awaited::reader); }
  /// It is being answered.
  void is_served() { awaited_ = Awaited::nothing; }

 private:
  friend class Clients;
  enum class Awaited : std::uint8_t { nothing, request, reader };
  void wait(Awaited what);

  Rank rank_;
  Awaited awaited_ = Awaited::nothing;
  std::shared_ptr<Clients> clients_;  ///< where it has a place; none: nowhere
  std::list<Client*>::iterator place_;
};

/// Those of a listener. When there is room for no more, the one gives way that has been silent longest: who asks
/// quickly is served however many others stall.
class Clients : public std::enable_shared_from_this<Clients> {
 public:
  /// Gives the client a place, which it keeps until it ends. False: all others are being answered, or go before it.
  bool admit(Client& client);

 private:
  friend class Client;
  bool make_room(Rank rank);

  std::list<Client*> clients_;  ///< whose move was awaited first stands first
};

}  // namespace vipgate::control
