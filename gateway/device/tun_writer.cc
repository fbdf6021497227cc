#include "device/tun_writer.h"

#include <liburing.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace vipgate {

struct TunWriter::Ring {
  Ring() : error(::io_uring_queue_init(kMaxPackets, &ring, 0)) {}
  ~Ring() {
    if (error == 0) ::io_uring_queue_exit(&ring);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  io_uring ring{};
  int error;  ///< 0, or an errno below 0
};

struct TunWriter::Batch {
  std::size_t size = 0;
  std::size_t parts_used = 0;
  std::array<VirtioHeader, kMaxPackets> headers;
  std::array<iovec, 2 * kMaxPackets> parts;  ///< of all, one packet's behind the other's
  std::array<std::span<const iovec>, kMaxPackets> packets;
  std::array<Written, kMaxPackets> written;

  std::size_t bytes_of(std::size_t packet) const {
    std::size_t bytes = 0;
    for (const iovec& part : packets[packet]) bytes += part.iov_len;
    return bytes;
  }
};

absl::Status TunWriter::check() {
  const Ring ring;
  if (ring.error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(
      -ring.error,
      "no io_uring (kernel.io_uring_disabled has to be 0, and a container's system call filter to allow it)");
}

TunWriter::TunWriter(bool at_once)
    : ring_(at_once ? std::make_unique<Ring>() : nullptr), batch_(std::make_unique<Batch>()) {
  if (ring_ && ring_->error != 0) ring_.reset();
}

TunWriter::~TunWriter() = default;

void TunWriter::add(const Packet& head, std::span<const std::span<const std::uint8_t>> rest) {
  Batch& batch = *batch_;
  const std::size_t first = batch.parts_used;
  VirtioHeader& virtio = batch.headers[batch.size];
  virtio = head.virtio;
  batch.parts[batch.parts_used++] = {&virtio, sizeof(virtio)};
  batch.parts[batch.parts_used++] = {head.bytes.data(), head.bytes.size()};
  for (const auto bytes : rest) {
    batch.parts[batch.parts_used++] = {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};  // it is only read
  }
  batch.packets[batch.size] = std::span(batch.parts).subspan(first, batch.parts_used - first);
  batch.written[batch.size++] = {.packets = 1 + rest.size(), .result = {}};
}

std::span<const TunWriter::Written> TunWriter::write(TunQueue& queue) {
  Batch& batch = *batch_;
  const std::size_t size = batch.size;
  const std::size_t done = ring_ && size > 1 ? write_at_once(queue) : 0;
  for (std::size_t i = done; i < size; ++i) batch.written[i].result = queue.write(batch.packets[i]);
  batch.size = batch.parts_used = 0;
  return std::span(batch.written).first(size);
}

/// How many of the packets are dealt with. Those that follow are none of io_uring's any more, nor is it used again.
std::size_t TunWriter::write_at_once(TunQueue& queue) {
  Batch& batch = *batch_;
  io_uring* ring = &ring_->ring;
  for (std::size_t i = 0; i < batch.size; ++i) {
    io_uring_sqe* entry = ::io_uring_get_sqe(ring);  // there are as many as packets
    // A write that cannot be done at once, which a TUN's always can, comes back, for it to be done in its turn.
    ::io_uring_prep_writev2(entry, queue.fd(), batch.packets[i].data(), static_cast<unsigned>(batch.packets[i].size()),
                            0, RWF_NOWAIT);
    ::io_uring_sqe_set_data64(entry, i);
  }
  std::size_t submitted = 0;
  while (submitted < batch.size) {
    const int count = ::io_uring_submit_and_wait(ring, static_cast<unsigned>(batch.size - submitted));
    if (count == -EINTR) continue;
    if (count <= 0) break;
    submitted += static_cast<std::size_t>(count);
  }
  for (std::size_t i = 0; i < submitted; ++i) {
    io_uring_cqe* completion = nullptr;
    while (::io_uring_wait_cqe(ring, &completion) == -EINTR) {
    }
    const std::size_t packet = ::io_uring_cqe_get_data64(completion);
    const int written = completion->res;
    ::io_uring_cqe_seen(ring, completion);
    const bool refused = written == -EAGAIN || written == -EOPNOTSUPP || written == -EINTR;
    batch.written[packet].result =
        refused ? queue.write(batch.packets[packet]) : TunQueue::result_of(written, batch.bytes_of(packet));
  }
  if (submitted < batch.size) ring_.reset();
  return submitted;
}

}  // namespace vipgate
