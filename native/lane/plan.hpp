// What some words mean: how to make sequences of a request's numbers, and an answer of its results.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lane/words.hpp"
#include "schedule/scheduler.hpp"

namespace seqserve {

// One tensor of the answer: the words before its numbers, or none where those stand at the end.
struct Piece {
  std::string before;
  std::size_t output;  // of the graph; all are float32
  bool is_binary;
};

struct Plan {
  // Where its numbers are: text has the inputs alone.
  bool is_text;
  std::size_t num_bytes;     // of all binary tensors
  std::size_t inputs_start;  // of the inputs among them
  long batch, steps, features;
  std::vector<long> lengths;  // of each row; empty: they are int64 at `lengths_start`
  std::size_t lengths_start;

  // What to do with them.
  SchedulerPtr scheduler;
  long max_length;
  long priority;
  double timeout_s;

  // The answer: the words before the body's id, if it has one; its tensors, and the words behind
  // them. What is of each step has the longest row's length.
  std::string header_lines;  // each ended
  std::string before_id;
  std::vector<Piece> pieces;
  std::string behind;
  std::shared_ptr<Distribution> elapsed_s;  // of requests answered so
};
using PlanPtr = std::shared_ptr<const Plan>;

// The job that a request asks for; null if its numbers are not as they should be.
//
// waited_s: from the request's head to the last of its body, of the time that it may take.
JobPtr make_job(const PlanPtr& plan, std::string_view numbers, double waited_s);

// Whether an answered job, all of whose outputs are float32, has only finite numbers.
bool all_finite(const Job& job);

// The whole HTTP response to an answered job.
//
// default_lines: the server's own headers, each line ended.
std::string make_response(const Job& job, const std::string& default_lines);

}  // namespace seqserve
