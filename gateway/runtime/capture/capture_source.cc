#include "runtime/capture/capture_source.h"

#include <algorithm>

#include <boost/asio/post.hpp>

#include "absl/strings/str_cat.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace vipgate {
namespace {

/// How long until the next look when there was nothing.
constexpr auto kPause = std::chrono::milliseconds(10);
/// How long to wait until all workers know of the capture, and of its end. One that is stuck does not hold it up.
constexpr auto kPatience = std::chrono::milliseconds(200);
/// Bytes that are handed out at once, more or less: other work of the thread comes between.
constexpr std::size_t kPiece = std::size_t{256} * 1024;

std::unique_ptr<CaptureWriter> make_writer(CaptureFormat format, CaptureFrame frame) {
  return format == CaptureFormat::text ? make_text_capture(std::move(frame)) : make_pcapng_capture(std::move(frame));
}

}  // namespace

CaptureSource::CaptureSource(boost::asio::io_context& context, CaptureQuery query, CaptureFrame frame, TapSet taps,
                             std::function<void(const CaptureSource&)> on_end)
    : timer_(context),
      over_(context),
      query_(std::move(query)),
      writer_(make_writer(query_.format, std::move(frame))),
      taps_(std::move(taps)),
      on_end_(std::move(on_end)),
      begin_(boot_time_now()) {}

CaptureSource::~CaptureSource() {
  end();
  log_info(absl::StrCat("a capture has ended: ", written_.packets, " packets, ", lost().packets, " lost"));
}

void CaptureSource::open(std::function<void()> ready) {
  timer_.expires_after(is_open() ? std::chrono::milliseconds(0) : kPause);
  timer_.async_wait([weak = weak_from_this(), ready = std::move(ready)](const boost::system::error_code& error) {
    if (error) return;
    if (const auto self = weak.lock()) self->is_open() ? self->begin(ready) : self->open(ready);
  });
}

void CaptureSource::begin(const std::function<void()>& ready) {
  begin_ = boot_time_now();
  writer_->begin(bytes_);
  stop_in_time();
  ready();
}

void CaptureSource::read(std::function<void(std::string)> take) {
  take_ = std::move(take);
  boost::asio::post(timer_.get_executor(), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->look();
  });
}

void CaptureSource::stop() {
  if (!end_) end_ = boot_time_now();
  end();
}

bool CaptureSource::is_open() const {
  return boot_time_now() - begin_ >= kPatience ||
         std::all_of(taps_.begin(), taps_.end(), [](const auto& tap) { return tap->is_open(); });
}

bool CaptureSource::is_closed() const {
  return boot_time_now() - *end_ >= kPatience ||
         std::all_of(taps_.begin(), taps_.end(), [](const auto& tap) { return tap->is_closed(); });
}

void CaptureSource::look() {
  if (!take_) return;
  if (finished_) return give({});
  const bool all_came = end_ && is_closed();
  const bool more = fill();
  const bool enough = query_.packets && written_.packets >= *query_.packets;
  if (enough || (all_came && !more)) finish();
  if (bytes_.empty() && !finished_) return look_later();
  give(std::exchange(bytes_, {}));
}

void CaptureSource::stop_in_time() {
  if (!query_.duration) return;
  over_.expires_after(*query_.duration);
  over_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    if (error) return;
    if (const auto self = weak.lock()) self->stop();
  });
}

void CaptureSource::look_later() {
  timer_.expires_after(kPause);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    if (error) return;
    if (const auto self = weak.lock()) self->look();
  });
}

/// Writes down what there is, up to a piece. Whether there is more.
bool CaptureSource::fill() {
  while (bytes_.size() < kPiece) {
    if (query_.packets && written_.packets >= *query_.packets) return false;
    const auto worker = oldest();
    if (!worker) return false;
    CaptureRecord& record = taps_[*worker]->ring().take();
    record.worker = *worker;
    if (end_ && record.header.time > *end_) continue;
    written_ =
        written_ + CaptureCounts{1, record.header.in.is_there() ? 1U : 0U, record.header.out.is_there() ? 1U : 0U};
    writer_->add(bytes_, record);
  }
  return true;
}

/// The worker whose next packet is the oldest; none: there is no packet.
std::optional<std::size_t> CaptureSource::oldest() const {
  std::optional<std::size_t> found;
  Time time{};
  for (std::size_t worker = 0; worker < taps_.size(); ++worker) {
    const CaptureRecord* record = taps_[worker]->ring().front();
    if (record == nullptr || (found && record->header.time >= time)) continue;
    found = worker;
    time = record->header.time;
  }
  return found;
}

void CaptureSource::finish() {
  if (!end_) end_ = boot_time_now();
  end();
  writer_->end(bytes_, written_, lost(), begin_, *end_);
  finished_ = true;
}

void CaptureSource::give(std::string bytes) {
  std::exchange(take_, nullptr)(std::move(bytes));
}

void CaptureSource::end() {
  if (on_end_) std::exchange(on_end_, nullptr)(*this);
}

CaptureCounts CaptureSource::lost() const {
  CaptureCounts sum;
  for (const auto& tap : taps_) {
    const CaptureTap::Lost lost = tap->lost();
    sum = sum + CaptureCounts{lost.packets, lost.in, lost.out};
  }
  return sum;
}

std::vector<std::pair<std::string, std::string>> CaptureSource::summary() const {
  return {{"Captured", absl::StrCat(written_.packets)}, {"Lost", absl::StrCat(lost().packets)}};
}

}  // namespace vipgate
