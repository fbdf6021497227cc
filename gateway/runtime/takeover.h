#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/unique_fd.h"
#include "runtime/estate.h"

namespace vipgate {

// How a new process takes the place of a running gateway, over a socket of the device's own (an abstract name,
// unix(7)), which passes descriptors:
//
//   new      who it is, as JSON: {"protocol": 1, ...}
//   running  "refused WHY", and nothing has happened; or it stops its workers and sends "yours", with all it has
//   new      sets everything up, and says "ready"
//   running  "go"; from now on the new one is in charge
//   new      starts its workers, and says "running"; the running one ends
//
// Until "go" the running one takes all back when the other says nothing for a while; until "running" when it dies. In
// all that time the device's queues hold the packets.

/// Version of these messages. Another one is refused.
inline constexpr int kTakeoverProtocol = 1;
/// How long each side waits for the other's next message.
inline constexpr std::chrono::seconds kTakeoverPatience{5};

/// What of the new gateway must be as it is in the running one.
struct TakeoverRequest {
  int protocol = kTakeoverProtocol;
  std::uint32_t flow_layout = 0;
  std::string state_dir;
  std::size_t max_flows = 0;  ///< 0: as it is
};

/// The new gateway's end.
class Takeover {
 public:
  /// None: no gateway runs on the device. An error says why the running one refuses, or that it is another user's; it
  /// goes on then.
  static absl::StatusOr<std::optional<Takeover>> ask(const std::string& device, const TakeoverRequest& request);

  Estate& estate() { return estate_; }
  /// When everything is set up. Ok: this process is in charge. Otherwise the other one is, and this one must end.
  absl::Status take_charge();
  void say_running();

 private:
  Takeover(UniqueFd connection, Estate estate) : connection_(std::move(connection)), estate_(std::move(estate)) {}

  UniqueFd connection_;
  Estate estate_;
};

/// The running gateway's end, on its control thread.
class TakeoverServer {
 public:
  /// What it does to the gateway.
  class Owner {
   public:
    virtual ~Owner() = default;
    /// Stops, and says all that the other one needs. An error: why not; the gateway goes on.
    virtual absl::StatusOr<Estate> hand_over(const TakeoverRequest& request) = 0;
    /// The other one has failed: goes on.
    virtual void take_back(const std::string& why) = 0;
    /// The other one runs: ends, and leaves everything to it.
    virtual void leave() = 0;
  };

  TakeoverServer(boost::asio::io_context& context, Owner& owner, std::chrono::milliseconds patience = kTakeoverPatience)
      : owner_(owner), patience_(patience), accepting_(context), waiting_(context), timer_(context) {}
  ~TakeoverServer();

  absl::Status listen(const std::string& device);
  /// Goes on with the socket of the gateway before.
  absl::Status listen_on(UniqueFd listener);
  const UniqueFd& listener() const { return listener_; }

 private:
  enum class Stage : std::uint8_t { request, ready, running };

  void accept();
  void wait(Stage stage);
  void take(Stage stage);
  void hand_over(const std::string& text);
  void object(Stage stage, const std::string& why);
  void give_up(Stage stage, const std::string& why);
  void close();

  Owner& owner_;
  std::chrono::milliseconds patience_;
  UniqueFd listener_;
  UniqueFd connection_;
  boost::asio::posix::stream_descriptor accepting_;  ///< waits for listener_
  boost::asio::posix::stream_descriptor waiting_;    ///< waits for connection_
  boost::asio::steady_timer timer_;
  std::uint64_t turn_ = 0;  ///< counts waits: what an earlier one brings is old news
};

}  // namespace vipgate
