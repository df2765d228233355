// The fast path: requests that were understood once are understood by their words from then on.
//
// What is new, or not plain in any way, is left to Python, which reads it slowly and rightly, words
// what is wrong with it, and teaches what its words mean. So this takes only what Python took, and
// takes it as the same. Used on the event loop alone.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "engine/engine.hpp"
#include "lane/head.hpp"
#include "lane/plan.hpp"

namespace seqserve {

// The head of a request to a hot route, in its plain form.
struct HotHead {
  long id;            // by which Python knows it
  std::string model;  // what the path names: it decides what the words of the body mean
  bool keep_alive;
  long json_bytes;  // of the body; negative: all
};

// What became of the bytes that came.
struct Received {
  std::size_t num_bytes = 0;  // read; none: they are for Python
  long head_id = 0;
  std::string_view request_id;  // the caller's own; empty: there is none
  std::string trace_parent;     // of what is refused
  JobPtr job;                   // submitted, unless there is
  std::optional<Refusal> refusal;
};

class FastPath {
 public:
  // timeout_s: as long as any request may take; max_body_bytes: of one that is taken here.
  FastPath(Engine& engine, const HeadReader& reader, double timeout_s, std::size_t max_body_bytes);

  // What a head means, and all that differ from it in nothing that matters.
  void learn_head(std::string_view head, HotHead hot);
  // Whether a body's words came before: only such are worth learning.
  bool comes_again(const std::string& model, const BodyWords& words);
  // What a body's words mean to a model.
  void learn_plan(const std::string& model, const BodyWords& words, PlanPtr plan);
  // Other models serve now.
  void forget();

  // Take the whole request that these bytes begin with; its head came `waited_s` ago.
  Received receive(std::string_view data, double waited_s);

  // The server's own headers, each line ended; they have the time in them.
  std::string default_lines;

 private:
  Engine& engine_;
  HeadReader reader_;
  double timeout_s_;
  std::size_t max_body_bytes_;
  std::unordered_map<std::string, HotHead> heads_;
  std::unordered_map<std::string, PlanPtr> plans_;
  std::unordered_set<std::size_t> came_;  // hashes of words
};

}  // namespace seqserve
