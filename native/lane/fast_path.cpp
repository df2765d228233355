#include "lane/fast_path.hpp"

#include <random>

namespace seqserve {

namespace {

// Forgotten all at once beyond.
constexpr std::size_t kMaxHeads = 4'096, kMaxPlans = 8'192, kMaxCame = 65'536;

std::string new_request_id() {  // no secret; a forked child must not go on with its parent's
  thread_local std::mt19937_64 random{std::random_device{}()};
  constexpr char kHex[] = "0123456789abcdef";
  std::string id(32, '0');
  for (std::size_t half = 0; half < 2; ++half) {
    auto bits = random();
    for (std::size_t digit = 0; digit < 16; ++digit, bits >>= 4)
      id[16 * half + digit] = kHex[bits & 15];
  }
  return id;
}

std::string plan_key(const std::string& model, const std::string& words) {
  return model + ' ' + words;
}

}  // namespace

FastPath::FastPath(Engine& engine, const HeadReader& reader, double timeout_s,
                   std::size_t max_body_bytes)
    : engine_(engine), reader_(reader), timeout_s_(timeout_s), max_body_bytes_(max_body_bytes) {}

void FastPath::learn_head(std::string_view head, HotHead hot) {
  auto words = reader_.read(head);
  if (!words) return;
  if (heads_.size() >= kMaxHeads) heads_.clear();
  heads_.insert_or_assign(words->key, std::move(hot));
}

bool FastPath::comes_again(const std::string& model, const BodyWords& words) {
  if (came_.size() >= kMaxCame) came_.clear();
  return !came_.insert(std::hash<std::string>{}(plan_key(model, words.key))).second;
}

void FastPath::learn_plan(const std::string& model, const BodyWords& words, PlanPtr plan) {
  if (plans_.size() >= kMaxPlans) plans_.clear();
  plans_.insert_or_assign(plan_key(model, words.key), std::move(plan));
}

void FastPath::forget() {
  heads_.clear();
  plans_.clear();
}

Received FastPath::receive(std::string_view data, double waited_s) {
  auto head = reader_.read(data);
  if (!head || head->body_bytes > max_body_bytes_ || engine_.is_closed()) return {};
  auto known = heads_.find(head->key);
  if (known == heads_.end() || data.size() < head->num_bytes + head->body_bytes) return {};
  const HotHead& hot = known->second;
  Received received{head->num_bytes + head->body_bytes, hot.id, head->request_id, {}, nullptr,
                    engine_.refuses(timeout_s_)};
  if (received.refusal) {
    received.trace_parent = std::move(head->trace_parent);
    return received;
  }
  auto words = body_words(data.substr(head->num_bytes, head->body_bytes), hot.json_bytes);
  if (!words) return {};
  auto plan = plans_.find(plan_key(hot.model, words->key));
  if (plan == plans_.end()) return {};
  double left_s = plan->second->timeout_s - waited_s;
  if (left_s <= 0.0) return {};
  received.job = make_job(plan->second, words->numbers, waited_s);
  if (!received.job) return {};
  received.job->request_id =
      head->request_id.empty() ? new_request_id() : std::string(head->request_id);
  received.job->trace_parent = std::move(head->trace_parent);
  received.job->body_id = words->id.value_or("");
  received.job->keep_alive = hot.keep_alive;
  received.refusal = engine_.submit(plan->second->scheduler, received.job, left_s);
  if (received.refusal) received.trace_parent = received.job->trace_parent;
  if (received.refusal && received.refusal->kind == Refusal::Kind::kGone)
    return {};  // about to be forgotten
  return received;
}

}  // namespace seqserve
