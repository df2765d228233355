#include "lane/plan.hpp"

#include <algorithm>
#include <cstring>

#include "clock.hpp"
#include "lane/numbers.hpp"

namespace seqserve {

namespace {

// The rows' lengths, in steps; empty if one is out of range.
std::vector<long> read_lengths(const Plan& plan, std::string_view numbers) {
  std::vector<long> lengths = plan.lengths;
  if (lengths.empty()) {
    lengths.resize(static_cast<std::size_t>(plan.batch));
    static_assert(sizeof(long) == sizeof(std::int64_t));
    std::memcpy(lengths.data(), numbers.data() + plan.lengths_start,
                lengths.size() * sizeof(std::int64_t));
  }
  long longest = std::min(plan.steps, plan.max_length);
  for (long length : lengths) {
    if (length < 1 || length > longest) return {};
  }
  return lengths;
}

// Keep each row's own steps, one row behind the other.
void drop_padding(const Plan& plan, const std::vector<long>& lengths, std::vector<float>& values) {
  auto to = values.begin();
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    auto from = values.begin() + static_cast<long>(row) * plan.steps * plan.features;
    to = std::copy(from, from + lengths[row] * plan.features, to);  // to the front, or in place
  }
  values.erase(to, values.end());
}

// The weights as one tensor (batch, longest), zero past each row's own.
std::vector<float> padded_weights(const Job& job) {
  std::size_t longest = 0;
  for (const auto& row : job.weights) longest = std::max(longest, row.size());
  std::vector<float> values(longest * job.weights.size(), 0.0f);
  auto to = values.begin();
  for (const auto& row : job.weights) {
    std::copy(row.begin(), row.end(), to);
    to += static_cast<long>(longest);
  }
  return values;
}

// A document, and the binary tensors behind it.
struct Body {
  std::string document, blobs;
};

Body make_body(const Job& job) {
  Body body{job.plan->before_id + job.body_id, {}};
  for (const Piece& piece : job.plan->pieces) {
    body.document.append(piece.before);
    std::vector<float> weights;
    if (piece.is_weights) weights = padded_weights(job);
    const auto& values = piece.is_weights ? weights : job.logits;
    if (piece.is_binary) {
      body.blobs.append(reinterpret_cast<const char*>(values.data()),
                        values.size() * sizeof(float));
    } else {
      write_numbers(values.data(), values.size(), body.document);
    }
  }
  body.document.append(job.plan->behind);
  return body;
}

}  // namespace

JobPtr make_job(const PlanPtr& plan, std::string_view numbers, double waited_s) {
  auto count = static_cast<std::size_t>(plan->batch * plan->steps * plan->features);
  std::vector<float> values;
  if (plan->is_text) {
    values.reserve(count);
    if (!read_numbers(numbers, count, values)) return nullptr;
  } else {
    if (numbers.size() != plan->num_bytes) return nullptr;
    values.resize(count);
    std::memcpy(values.data(), numbers.data() + plan->inputs_start, count * sizeof(float));
  }
  auto lengths = read_lengths(*plan, numbers);
  if (lengths.empty()) return nullptr;
  drop_padding(*plan, lengths, values);
  if (!plan->is_text && !all_finite(values.data(), values.size())) return nullptr;
  auto job = std::make_shared<Job>(std::move(values), lengths, plan->features, plan->priority,
                                   plan->timeout_s - waited_s);
  job->plan = plan;
  job->waited_s = waited_s;
  return job;
}

std::string make_response(const Job& job, const std::string& default_lines) {
  const Plan& plan = *job.plan;
  auto [document, blobs] = make_body(job);
  std::size_t size = document.size() + blobs.size();
  std::string response = "HTTP/1.1 200 OK\r\n";
  response.reserve(response.size() + default_lines.size() + plan.header_lines.size() +
                   job.request_id.size() + size + 160);
  response.append(default_lines);
  if (!blobs.empty()) {
    response.append("inference-header-content-length: ").append(std::to_string(document.size()));
    response.append("\r\n");
  }
  response.append(plan.header_lines);
  response.append("content-length: ").append(std::to_string(size));
  response.append("\r\nx-request-id: ").append(job.request_id);
  response.append(job.keep_alive ? "\r\n\r\n" : "\r\nconnection: close\r\n\r\n");
  plan.elapsed_s->observe(now_s() - job.submitted_s + job.waited_s);
  return response.append(document).append(blobs);
}

}  // namespace seqserve
