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

}  // namespace

JobPtr make_job(const PlanPtr& plan, std::string_view numbers) {
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
                                   plan->timeout_s);
  job->plan = plan;
  return job;
}

std::string make_response(const Job& job, const std::string& default_lines) {
  const Plan& plan = *job.plan;
  std::string body = plan.before;
  if (plan.logits_are_binary) {
    body.append(plan.behind);
    body.append(reinterpret_cast<const char*>(job.logits.data()),
                job.logits.size() * sizeof(float));
  } else {
    write_numbers(job.logits.data(), job.logits.size(), body);
    body.append(plan.behind);
  }
  std::string response = "HTTP/1.1 200 OK\r\n";
  response.reserve(response.size() + default_lines.size() + plan.header_lines.size() +
                   job.request_id.size() + body.size() + 80);
  response.append(default_lines).append(plan.header_lines);
  response.append("content-length: ").append(std::to_string(body.size()));
  response.append("\r\nx-request-id: ").append(job.request_id);
  response.append(job.keep_alive ? "\r\n\r\n" : "\r\nconnection: close\r\n\r\n");
  plan.elapsed_s->observe(now_s() - job.submitted_s);
  return response.append(body);
}

}  // namespace seqserve
