#include "runtime/capture/captures.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace vipgate {
namespace {

/// Bytes of packets that nobody has read yet, of all workers of a capture together, but for each no less than it needs
/// for a batch of super-packets.
constexpr std::size_t kRoom = std::size_t{32} << 20;
constexpr std::size_t kLeastRoom = std::size_t{1} << 20;

/// How long the end of the gateway waits for who reads a capture, and how often it looks.
constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kPause = std::chrono::milliseconds(5);

/// What has to be added to the engine's time for the wall clock's. It is read once a capture: when the wall clock is
/// set meanwhile, the times of a file still grow.
Duration since_1970() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const Duration wall = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  return wall - boot_time_now().time_since_epoch();
}

}  // namespace

Captures::Captures(boost::asio::io_context& context, Hooks hooks)
    : context_(context), timer_(context), hooks_(std::move(hooks)), self_(std::make_shared<Captures*>(this)) {}

Captures::~Captures() = default;

absl::StatusOr<std::shared_ptr<ByteSource>> Captures::start(CaptureQuery query, const std::string& device,
                                                            std::size_t workers) {
  const auto runs = [](const std::weak_ptr<CaptureSource>& one) {
    const auto source = one.lock();
    return source != nullptr && !source->has_ended();
  };
  std::erase_if(sources_, [](const auto& one) { return one.expired(); });
  if (static_cast<std::size_t>(std::count_if(sources_.begin(), sources_.end(), runs)) >= kMaxCaptures) {
    return absl::UnavailableError(absl::StrCat(kMaxCaptures, " captures run already; end one of them"));
  }
  const std::string words = query.filter.to_string();
  const std::size_t room = std::max(kRoom / workers, kLeastRoom);
  TapSet taps;
  for (std::size_t i = 0; i < workers; ++i) {
    taps.push_back(std::make_shared<CaptureTap>(query.filter, query.snaplen, room));
  }
  CaptureFrame frame{
      .device = device, .filter = words, .snaplen = query.snaplen, .workers = workers, .since_1970 = since_1970()};
  const auto on_end = [weak = std::weak_ptr(self_), taps](const CaptureSource& /*source*/) {
    const auto self = weak.lock();
    if (!self) return;
    (*self)->hooks_.untap(taps);
    std::copy(taps.begin(), taps.end(), std::back_inserter((*self)->ended_));
  };
  auto source = std::make_shared<CaptureSource>(context_, std::move(query), std::move(frame), taps, on_end);
  sources_.push_back(source);
  hooks_.tap(taps);
  log_info(absl::StrCat("a capture begins: ", words.empty() ? "all packets" : words));
  return source;
}

void Captures::end_all(std::function<void()> done) {
  for (const auto& one : sources_) {
    if (const auto source = one.lock()) source->stop();
  }
  wait_for_readers(std::chrono::steady_clock::now() + kPatience, std::move(done));
}

/// A reader that has got everything lets go of its source.
void Captures::wait_for_readers(std::chrono::steady_clock::time_point deadline, std::function<void()> done) {
  std::erase_if(sources_, [](const auto& one) { return one.expired(); });
  if (sources_.empty() || std::chrono::steady_clock::now() >= deadline) return done();
  timer_.expires_after(kPause);
  timer_.async_wait([this, deadline, done = std::move(done)](const boost::system::error_code& error) {
    if (!error) wait_for_readers(deadline, done);
  });
}

void Captures::free_ended() {
  std::erase_if(ended_, [](const auto& tap) { return tap.use_count() == 1; });
}

}  // namespace vipgate
