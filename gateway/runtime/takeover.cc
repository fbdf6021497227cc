#include "runtime/takeover.h"

#include <sys/socket.h>

#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "device/descriptors.h"

namespace vipgate {
namespace {

using Json = nlohmann::json;
using Error = boost::system::error_code;

constexpr const char* kRefused = "refused ";
constexpr const char* kYours = "yours";
constexpr const char* kReady = "ready";
constexpr const char* kGo = "go";
constexpr const char* kRunning = "running";

constexpr const char* kEnded = "it has ended";

std::string socket_of(const std::string& device) {
  return absl::StrCat("vipgate/takeover/", device);
}

/// The other's next message; Unavailable when it has ended or says nothing.
absl::StatusOr<DescriptorMessage> next_message(const UniqueFd& connection) {
  // Twice as long as the other one needs to give up: it decides.
  const timeval patience{.tv_sec = 2 * kTakeoverPatience.count(), .tv_usec = 0};
  (void)::setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  absl::StatusOr<DescriptorMessage> message = receive_message(connection);
  if (message.ok() && !message->text.empty()) return message;
  return absl::UnavailableError("the running gateway does not go on with the take-over; it stays in charge");
}

std::optional<TakeoverRequest> parse(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  TakeoverRequest request;
  try {
    json.at("protocol").get_to(request.protocol);
    if (request.protocol != kTakeoverProtocol) return request;  // the rest may be anything
    json.at("flow_layout").get_to(request.flow_layout);
    json.at("state_dir").get_to(request.state_dir);
    json.at("max_flows").get_to(request.max_flows);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
  return request;
}

}  // namespace

absl::StatusOr<std::optional<Takeover>> Takeover::ask(const std::string& device, const TakeoverRequest& request) {
  absl::StatusOr<UniqueFd> connection = connect_to(socket_of(device));
  if (absl::IsNotFound(connection.status())) return std::nullopt;
  if (!connection.ok()) return connection.status();
  if (!is_of_same_user(*connection)) {
    return absl::PermissionDeniedError(
        absl::StrCat("the gateway on ", device, " is another user's; take it over as that user"));
  }
  const Json json{{"protocol", request.protocol},
                  {"flow_layout", request.flow_layout},
                  {"state_dir", request.state_dir},
                  {"max_flows", request.max_flows}};
  if (absl::Status status = send_message(*connection, json.dump(-1, ' ', false, Json::error_handler_t::replace));
      !status.ok()) {
    return status;
  }
  absl::StatusOr<DescriptorMessage> answer = next_message(*connection);
  if (!answer.ok()) return answer.status();
  if (answer->text != kYours) {
    return absl::FailedPreconditionError(
        absl::StrCat("the running gateway refuses to be taken over: ", absl::StripPrefix(answer->text, kRefused)));
  }
  absl::StatusOr<Estate> estate = read_estate(std::move(answer->descriptors));
  if (!estate.ok()) return estate.status();
  return Takeover(*std::move(connection), *std::move(estate));
}

absl::Status Takeover::take_charge() {
  if (absl::Status status = send_message(connection_, kReady); !status.ok()) return status;
  const absl::StatusOr<DescriptorMessage> answer = next_message(connection_);
  if (!answer.ok()) return answer.status();
  if (answer->text != kGo) return absl::InternalError(absl::StrCat("the running gateway said ", answer->text));
  return absl::OkStatus();
}

void Takeover::say_running() {
  (void)send_message(connection_, kRunning);  // when it has died meanwhile, it need not be told
}

TakeoverServer::~TakeoverServer() {
  close();
  if (accepting_.is_open()) accepting_.release();
}

absl::Status TakeoverServer::listen(const std::string& device) {
  absl::StatusOr<UniqueFd> listener = listen_at(socket_of(device));
  if (!listener.ok()) return listener.status();
  return listen_on(*std::move(listener));
}

absl::Status TakeoverServer::listen_on(UniqueFd listener) {
  // Those who connect shall see this process (unix_listen() of net/unix/af_unix.c).
  if (::listen(listener.get(), SOMAXCONN) != 0) return absl::ErrnoToStatus(errno, "cannot listen for take-overs");
  listener_ = std::move(listener);
  accepting_.assign(listener_.get());
  accept();
  return absl::OkStatus();
}

/// One at a time: the next one waits until the last has failed.
void TakeoverServer::accept() {
  accepting_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const Error& error) {
    if (error) return;
    connection_.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection_) return accept();
    if (!is_of_same_user(connection_)) {
      (void)send_message(connection_, absl::StrCat(kRefused, "only its own user may"));
      return close(), accept();
    }
    waiting_.assign(connection_.get());
    wait(Stage::request);
  });
}

void TakeoverServer::wait(Stage stage) {
  timer_.expires_after(patience_);
  timer_.async_wait([this, stage, turn = ++turn_](const Error& error) {
    if (!error && turn == turn_) object(stage, "it has said nothing for too long");
  });
  waiting_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [this, stage, turn = turn_](const Error& error) {
                        if (!error && turn == turn_) take(stage);
                      });
}

void TakeoverServer::take(Stage stage) {
  ++turn_;
  const absl::StatusOr<DescriptorMessage> message = receive_message(connection_);
  const std::string text = message.ok() ? message->text : "";
  if (stage == Stage::request && !text.empty()) return hand_over(text);
  if (stage == Stage::ready && text == kReady) {
    if (!send_message(connection_, kGo).ok()) return give_up(stage, kEnded);
    return wait(Stage::running);
  }
  if (stage == Stage::running && text == kRunning) return owner_.leave();
  text.empty() ? give_up(stage, kEnded) : object(stage, absl::StrCat("it said ", text));
}

void TakeoverServer::hand_over(const std::string& text) {
  const std::optional<TakeoverRequest> request = parse(text);
  absl::StatusOr<Estate> estate = absl::InvalidArgumentError("it cannot be understood");
  if (request && request->protocol != kTakeoverProtocol) {
    estate = absl::FailedPreconditionError(absl::StrCat("it speaks version ", kTakeoverProtocol,
                                                        " of the take-over, and the new one ", request->protocol,
                                                        ". End it and start the new one: flows are kept"));
  } else if (request) {
    estate = owner_.hand_over(*request);
  }
  if (!estate.ok()) {
    (void)send_message(connection_, absl::StrCat(kRefused, estate.status().message()));
    return close(), accept();
  }
  if (!send_estate(connection_, kYours, *estate).ok()) return give_up(Stage::ready, kEnded);
  wait(Stage::ready);
}

/// It is there, and does not do what it should. Once it was told to go it is in charge, and two must not be.
void TakeoverServer::object(Stage stage, const std::string& why) {
  if (stage == Stage::running) return owner_.leave();
  give_up(stage, why);
}

void TakeoverServer::give_up(Stage stage, const std::string& why) {
  close();
  if (stage != Stage::request) owner_.take_back(why);
  accept();
}

void TakeoverServer::close() {
  ++turn_;
  timer_.cancel();
  if (waiting_.is_open()) waiting_.release();
  connection_.reset();
}

}  // namespace vipgate
