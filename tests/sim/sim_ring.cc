#include "tests/sim/sim_ring.h"

#include <algorithm>
#include <cstring>

namespace starling::sim {
namespace {

// A hash that is fast, and good enough to notice a change.
uint64_t HashOf(std::span<const uint8_t> data) {
  uint64_t hash = 0x9e3779b97f4a7c15 ^ data.size();
  size_t i = 0;
  for (; i + 8 <= data.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, data.data() + i, 8);
    hash = (hash ^ word) * 0xff51afd7ed558ccd;
    hash ^= hash >> 32;
  }
  for (; i < data.size(); ++i) hash = (hash ^ data[i]) * 0x100000001b3;
  return hash;
}

}  // namespace

SimRing::SimRing(const RingOptions& options, World& world) : options_(options), world_(world) {
  // The last kMostListeners entries are reserved for listeners.
  table_.resize(2 * options.sessions + options.accepts + 64 + kMostListeners);
  const uint32_t buffers = options.small_buffers + options.large_buffers;
  memory_.resize(size_t{options.small_buffers} * options.small_buffer_size +
                 size_t{options.large_buffers} * options.large_buffer_size);
  buffer_out_.resize(buffers);
  for (uint32_t id = 0; id < buffers; ++id) {
    free_buffers_[id < options.small_buffers ? 0 : 1].push_back(static_cast<BufferId>(id));
  }
}

SimRing::~SimRing() {
  // Does what the kernel does when a ring is closed.
  for (Entry& entry : table_) {
    if (entry.os_fd >= 0) world_.CloseListener(entry.os_fd);
    if (entry.socket != kNoSocket) world_.Close(entry.socket);
  }
}

absl::Status SimRing::Start() {
  started_ = true;
  return absl::OkStatus();
}

absl::StatusOr<Fd> SimRing::AddListener(int os_fd, bool want_local) {
  for (size_t fd = table_.size() - kMostListeners; fd < table_.size(); ++fd) {
    if (table_[fd].state != Entry::State::kFree) continue;
    table_[fd].state = Entry::State::kListener;
    table_[fd].os_fd = os_fd;
    table_[fd].want_local = want_local;
    return static_cast<Fd>(fd);
  }
  return absl::ResourceExhaustedError("too many listeners");
}

DataListener SimRing::AddDataListener(const Endpoint& address, uint16_t first, uint16_t last,
                                      uint32_t* cursor) {
  constexpr int kBacklog = 8;
  const uint32_t ports = last - first + 1u;
  Endpoint at = address;
  for (uint32_t tries = ports; tries > 0; --tries) {
    at.port = first == 0 ? world_.FreshAddress(false).endpoint().port
                         : static_cast<uint16_t>(first + (*cursor)++ % ports);
    const SocketAddress local = SocketAddress::From(at);
    if (world_.IsTaken(local)) continue;
    const absl::StatusOr<Fd> fd = AddListener(world_.Listen(local, kBacklog, true), false);
    if (!fd.ok()) return {};
    return {.fd = *fd, .port = at.port};
  }
  return {};
}

void SimRing::CancelAccepts(Fd listener) {
  Abort(listener);
  std::erase_if(requests_, [](const Request& request) { return request.finished; });
}

void SimRing::RemoveListener(Fd listener) {
  Entry& entry = At(listener);
  const bool armed = std::any_of(requests_.begin(), requests_.end(),
                                 [&](const Request& request) { return request.fd == listener; });
  if (entry.state != Entry::State::kListener || armed) {
    world_.Fail("RemoveListener with accepts armed, or of no listener");
  }
  world_.CloseListener(std::exchange(entry.os_fd, -1));
  entry.state = Entry::State::kClosing;
  entry.gone = true;
  if (entry.unseen == 0) entry = Entry{};
}

void SimRing::Discard(Fd accepted) {
  Entry& entry = At(accepted);
  if (entry.state != Entry::State::kOpen || entry.unseen != 0) {
    world_.Fail("Discard of what is in use");
  }
  world_.Close(std::exchange(entry.socket, kNoSocket));
  entry = Entry{};
}

// --- Requests ---

SimRing::Request& SimRing::Ask(Kind kind, Fd fd, Tag tag) {
  ++counts_[static_cast<size_t>(kind)];
  ++At(fd).unseen;
  asked_ = true;
  world_.Trace(kKindNames[static_cast<size_t>(kind)], fd, tag.slot, tag.generation);
  Request& request = requests_.emplace_back();
  request.kind = kind;
  request.fd = fd;
  request.tag = tag;
  return request;
}

bool SimRing::CheckOpen(Fd fd, const char* what) {
  const bool in_table = fd >= 0 && static_cast<size_t>(fd) < table_.size();
  if (in_table && At(fd).state == Entry::State::kOpen) return true;
  world_.Fail(std::string(what) + " on index " + std::to_string(fd) + ", which is not open");
  return false;
}

void SimRing::ArmAccept(Fd listener, Tag tag) {
  if (At(listener).state != Entry::State::kListener) {
    return world_.Fail("ArmAccept on what is no listener");
  }
  if (++armed_accepts_ > options_.accepts) world_.Fail("more accepts armed than announced");
  Ask(Kind::kAccept, listener, tag);
}

void SimRing::OpenUpstream(Fd fd, const SocketAddress& address, std::span<const uint8_t> header,
                           const Endpoint& source, bool want_local, Tag tag) {
  if (fd < 0 || fd >= static_cast<Fd>(options_.sessions) || At(fd).state != Entry::State::kFree) {
    return world_.Fail("OpenUpstream into index " + std::to_string(fd) + ", which is not free");
  }
  At(fd).state = Entry::State::kOpening;
  Request& request = Ask(Kind::kOpen, fd, tag);
  request.address = &address;
  request.data = header;
  request.data_hash = HashOf(header);
  request.source = source;
  request.want_local = want_local;
}

void SimRing::OpenData(Fd fd, const SocketAddress& address, const Endpoint& source, Tag tag) {
  OpenUpstream(fd, address, {}, source, false, tag);
  if (!requests_.empty()) requests_.back().data_channel = true;
}

void SimRing::Recv(Fd fd, BufferGroup group, uint32_t max, Tag tag) {
  if (!CheckOpen(fd, "Recv")) return;
  if (At(fd).receiving) return world_.Fail("two receives in flight on one descriptor");
  if (max == 0) return world_.Fail("Recv of nothing");
  At(fd).receiving = true;
  Request& request = Ask(Kind::kRecv, fd, tag);
  request.group = group;
  request.max = max;
}

void SimRing::Peek(Fd fd, Tag tag) {
  if (CheckOpen(fd, "Peek")) Ask(Kind::kPeek, fd, tag);
}

void SimRing::Send(Fd fd, std::span<const uint8_t> data, Tag tag) {
  if (!CheckOpen(fd, "Send")) return;
  if (At(fd).sending) return world_.Fail("two sends in flight on one descriptor");
  At(fd).sending = true;
  Request& request = Ask(Kind::kSend, fd, tag);
  request.data = data;
  request.data_hash = HashOf(data);
  request.partial = world_.rng().Chance(world_.faults().partial_send);
}

void SimRing::ShutdownWrite(Fd fd, Tag tag) {
  if (!CheckOpen(fd, "ShutdownWrite")) return;
  if (At(fd).sending) world_.Fail("ShutdownWrite with a send in flight");
  Ask(Kind::kShutdown, fd, tag);
}

void SimRing::Acknowledge(Fd fd) {
  if (!acknowledges() || !CheckOpen(fd, "Acknowledge")) return;
  ++acknowledged_;
  world_.Trace("ACKNOWLEDGE", fd);
  world_.Acknowledge(At(fd).socket);
}

void SimRing::Cancel(Fd fd, Tag tag) {
  if (IsOpening(fd) || CheckOpen(fd, "Cancel")) Ask(Kind::kCancel, fd, tag);
}

void SimRing::CancelAndClose(Fd fd, Tag tag) {
  if (!IsOpening(fd) && !CheckOpen(fd, "CancelAndClose")) return;
  At(fd).state = Entry::State::kClosing;
  Ask(Kind::kClose, fd, tag);
}

// --- Being seen ---

void SimRing::See(const Done& done) {
  Entry& entry = At(done.fd);
  --entry.unseen;
  if (done.kind == Kind::kAccept) --armed_accepts_;
  if (done.kind == Kind::kSend) entry.sending = false;
  if (done.kind == Kind::kRecv) entry.receiving = false;
  if (done.kind == Kind::kOpen && !done.frees && entry.state == Entry::State::kOpening) {
    entry.state = Entry::State::kOpen;
  }
  if (!done.data.empty() && HashOf(done.data) != done.data_hash) {
    world_.Fail("memory of a send changed while it was in flight");
  }
  if (done.frees || done.kind == Kind::kClose) entry.gone = true;
  if (entry.gone && entry.unseen == 0) entry = Entry{};
}

void SimRing::Deliver(std::vector<Completion>& out) {
  if (woken_) {
    woken_ = false;
    out.emplace_back().tag.op = Op::kWake;
  }
  size_t count = 0;
  while (count < done_.size() && done_[count].ready <= world_.now()) {
    const Done& done = done_[count++];
    See(done);
    world_.Trace("completion", done.fd, static_cast<int64_t>(Pack(done.completion.tag)),
                 done.completion.result);
    out.push_back(done.completion);
  }
  done_.erase(done_.begin(), done_.begin() + static_cast<ptrdiff_t>(count));
}

void SimRing::Turn(MonoTime deadline, std::vector<Completion>& out) {
  if (!started_) return world_.Fail("Turn before Start");
  // Each turn takes a little time, even if it does nothing.
  const MonoTime after = world_.now() + std::chrono::microseconds(1);
  while (world_.RunNext(after)) {
  }
  const size_t had = out.size();
  for (;;) {
    Poll();
    Deliver(out);
    if (out.size() > had || world_.now() >= deadline || world_.TakeInterrupt()) return;
    const MonoTime next = done_.empty() ? deadline : std::min(deadline, done_.front().ready);
    // A real ring would now wait for ever; the driver of this one notices.
    if (!world_.RunNext(next) && next == kNever) return world_.set_stuck();
  }
}

// --- Buffers ---

std::span<uint8_t> SimRing::Memory(BufferId id) {
  const size_t n = static_cast<size_t>(id);
  if (n < options_.small_buffers) {
    return std::span(memory_).subspan(n * options_.small_buffer_size, options_.small_buffer_size);
  }
  return std::span(memory_).subspan(size_t{options_.small_buffers} * options_.small_buffer_size +
                                        (n - options_.small_buffers) * options_.large_buffer_size,
                                    options_.large_buffer_size);
}

std::span<uint8_t> SimRing::Buffer(BufferId id) {
  if (id < 0 || static_cast<size_t>(id) >= buffer_out_.size() ||
      !buffer_out_[static_cast<size_t>(id)]) {
    world_.Fail("Buffer(" + std::to_string(id) + "), which is not out");
    return {};
  }
  return Memory(id);
}

void SimRing::ReturnBuffer(BufferId id) {
  const std::span<uint8_t> memory = Buffer(id);
  if (memory.empty()) return;
  // A caller that still reads the buffer finds nonsense.
  std::memset(memory.data(), 0xdb, memory.size());
  buffer_out_[static_cast<size_t>(id)] = false;
  --buffers_out_;
  free_buffers_[static_cast<size_t>(id) < options_.small_buffers ? 0 : 1].push_back(id);
}

uint32_t SimRing::DescriptorsInUse() const {
  return static_cast<uint32_t>(std::count_if(table_.begin(), table_.end(), [](const Entry& entry) {
    return entry.state != Entry::State::kFree;
  }));
}

std::vector<std::pair<std::string, uint64_t>> SimRing::OperationCounts() const {
  std::vector<std::pair<std::string, uint64_t>> counts;
  for (size_t i = 0; i < counts_.size(); ++i) counts.emplace_back(kKindNames[i], counts_[i]);
  counts.emplace_back("ACKNOWLEDGE", acknowledged_);
  return counts;
}

}  // namespace starling::sim

namespace starling {

absl::StatusOr<std::unique_ptr<Ring>> Ring::Create(const RingOptions& options) {
  return std::make_unique<sim::SimRing>(options, sim::World::Current());
}

}  // namespace starling
