#include "lane/plan.hpp"

#include <algorithm>
#include <cstring>

#include "clock.hpp"
#include "lane/numbers.hpp"
#include "lane/trace.hpp"

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

// What is of each step as one tensor (batch, longest, ...), zero past each row's own.
std::vector<std::byte> padded(const Job& job, const std::vector<std::byte>& steps,
                              std::size_t num_bytes) {
  long longest = 0;
  for (const auto& sequence : job.sequences) longest = std::max(longest, sequence.length);
  auto size = static_cast<long>(num_bytes);
  std::vector<std::byte> values(static_cast<std::size_t>(longest * size) * job.sequences.size());
  auto to = values.begin();
  for (const auto& sequence : job.sequences) {
    std::copy_n(steps.begin() + sequence.start * size, sequence.length * size, to);
    to += longest * size;
  }
  return values;
}

const float* floats(const std::vector<std::byte>& bytes) {
  return reinterpret_cast<const float*>(bytes.data());
}

// A document, and the binary tensors behind it.
struct Body {
  std::string document, blobs;
};

Body make_body(const Job& job) {
  Body body{job.plan->before_id + job.body_id, {}};
  for (const Piece& piece : job.plan->pieces) {
    body.document.append(piece.before);
    const OutputSpec& spec = job.plan->scheduler->graph.outputs[piece.output];
    const auto* values = &job.outputs[piece.output];
    std::vector<std::byte> tensor;
    if (spec.per_step && job.sequences.size() > 1) {
      tensor = padded(job, *values, spec.num_bytes);
      values = &tensor;
    }
    if (piece.is_binary) {
      body.blobs.append(reinterpret_cast<const char*>(values->data()), values->size());
    } else {
      write_numbers(floats(*values), values->size() / sizeof(float), body.document);
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
  auto held = std::make_shared<std::vector<float>>(std::move(values));
  Values bytes(held, reinterpret_cast<const std::byte*>(held->data()));
  auto job =
      std::make_shared<Job>(std::move(bytes), lengths, plan->priority, plan->timeout_s - waited_s);
  job->plan = plan;
  job->waited_s = waited_s;
  return job;
}

bool all_finite(const Job& job) {
  return std::ranges::all_of(job.outputs, [](const auto& values) {
    return all_finite(floats(values), values.size() / sizeof(float));
  });
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
  if (!job.trace_response.empty()) {
    response.append("\r\ntraceresponse: ").append(job.trace_response);
  }
  response.append(job.keep_alive ? "\r\n\r\n" : "\r\nconnection: close\r\n\r\n");
  double answered_s = now_s(), begun_s = job.submitted_s - job.waited_s;
  const auto& traced = job.trace_response.empty() ? job.trace_parent : job.trace_response;
  plan.elapsed_s->observe(answered_s - begun_s, sampled_trace_id(traced));
  plan.scheduler->stages().observe(begun_s, job.submitted_s, job.ran_s, job.done_s, answered_s,
                                   static_cast<long>(job.sequences.size()));
  return response.append(document).append(blobs);
}

}  // namespace seqserve
