#include "runtime/capture/capture_ring.h"

#include <type_traits>

#include <boost/lockfree/spsc_queue.hpp>

namespace vipgate {
namespace {

static_assert(std::is_trivially_copyable_v<CaptureHeader>);

constexpr std::size_t kMaxName = 0xff;

std::size_t size_behind(const CaptureHeader& header) {
  return std::size_t{header.service_size} + header.backend_size + header.in.captured + header.out.captured;
}

}  // namespace

struct CaptureRing::Queue {
  explicit Queue(std::size_t size) : bytes(size) {}

  boost::lockfree::spsc_queue<std::uint8_t> bytes;
};

CaptureRing::CaptureRing(std::size_t bytes) : queue_(std::make_unique<Queue>(bytes)) {}
CaptureRing::~CaptureRing() = default;

void CaptureRing::pop(void* to, std::size_t size) {
  queue_->bytes.pop(static_cast<std::uint8_t*>(to), size);
}

bool CaptureRing::push(CaptureHeader header, std::string_view service, std::string_view backend,
                       std::span<const std::uint8_t> in, std::span<const std::uint8_t> out) {
  service = service.substr(0, kMaxName);
  backend = backend.substr(0, kMaxName);
  header.service_size = static_cast<std::uint8_t>(service.size());
  header.backend_size = static_cast<std::uint8_t>(backend.size());
  if (queue_->bytes.write_available() < sizeof header + size_behind(header)) return false;
  queue_->bytes.push(reinterpret_cast<const std::uint8_t*>(&header), sizeof header);
  queue_->bytes.push(reinterpret_cast<const std::uint8_t*>(service.data()), service.size());
  queue_->bytes.push(reinterpret_cast<const std::uint8_t*>(backend.data()), backend.size());
  queue_->bytes.push(in.data(), in.size());
  queue_->bytes.push(out.data(), out.size());
  return true;
}

const CaptureRecord* CaptureRing::front() {
  if (has_record_) return &record_;
  CaptureHeader& header = record_.header;
  if (!has_header_) {
    if (queue_->bytes.read_available() < sizeof header) return nullptr;
    pop(&header, sizeof header);
    has_header_ = true;
  }
  if (queue_->bytes.read_available() < size_behind(header)) return nullptr;
  record_.service.resize(header.service_size);
  record_.backend.resize(header.backend_size);
  record_.in.resize(header.in.captured);
  record_.out.resize(header.out.captured);
  pop(record_.service.data(), record_.service.size());
  pop(record_.backend.data(), record_.backend.size());
  pop(record_.in.data(), record_.in.size());
  pop(record_.out.data(), record_.out.size());
  has_header_ = false;
  has_record_ = true;
  return &record_;
}

CaptureRecord& CaptureRing::take() {
  has_record_ = false;
  return record_;
}

}  // namespace vipgate
