#include <algorithm>
#include <string>
#include <tuple>

#include "bind/bind.hpp"
#include "schedule/cells.hpp"
#include "schedule/sequences.hpp"
#include "schedule/tensors.hpp"
#include "schedule/turns.hpp"

namespace seqserve {

namespace py = pybind11;

namespace {

constexpr int kContiguous = py::array::c_style;

// sequences: (time, ...) each, of one type.
JobPtr make_job(const std::vector<py::array>& sequences, long priority, double timeout_s) {
  auto values = std::make_shared<std::vector<std::byte>>();
  std::vector<long> lengths;
  for (const auto& given : sequences) {
    py::array sequence = py::array::ensure(given, kContiguous);
    if (sequence.ndim() < 1) throw py::value_error("a sequence is (time, ...)");
    auto* bytes = static_cast<const std::byte*>(sequence.data());
    values->insert(values->end(), bytes, bytes + sequence.nbytes());
    lengths.push_back(sequence.shape(0));
  }
  Values held(values, values->data());
  return std::make_shared<Job>(std::move(held), lengths, priority, timeout_s);
}

// Whole tensors, which stay with Python: as one sequence with a step a row.
JobPtr make_tensor_job(long num_rows, long kind, long priority, double timeout_s) {
  auto job = std::make_shared<Job>(nullptr, std::vector<long>{num_rows}, priority, timeout_s);
  job->kind = kind;
  return job;
}

// A run's sequences: of which job, and the how manieth of it.
std::vector<std::pair<JobPtr, long>> places(const Run& run) {
  std::vector<std::pair<JobPtr, long>> found;
  for (const auto& it : run.sequences) found.emplace_back(it->job->shared_from_this(), it->row);
  return found;
}

// A run's tensors (inputs as bytes, lengths, and state if any), in the workspace's own memory.
py::tuple tensors(const Scheduler& scheduler, const Run& run, const py::object& workspace) {
  auto& room = workspace.cast<Workspace&>();
  long rows = run.num_rows();
  py::list arrays;
  arrays.append(py::array_t<std::uint8_t>(
      {rows, run.num_steps, static_cast<long>(scheduler.graph.step_bytes)},
      reinterpret_cast<const std::uint8_t*>(room.inputs.data()), workspace));
  arrays.append(py::array_t<std::int64_t>({rows}, room.lengths.data(), workspace));
  const auto& state = scheduler.graph.state;
  for (std::size_t index = 0; index < state.size(); ++index) {
    std::vector<py::ssize_t> shape{rows};
    for (long axis : state[index].shape) shape.push_back(axis);
    arrays.append(py::array_t<float>(shape, room.state[index].data(), workspace));
  }
  return py::tuple(arrays);
}

// What a job was asked, as bytes (steps, step_bytes): in its own memory, which they keep.
py::array_t<std::uint8_t> steps(const JobPtr& job, long step_bytes) {
  long count = job->values ? job->num_cells : 0;
  auto* values = reinterpret_cast<const std::uint8_t*>(job->values.get());
  return py::array_t<std::uint8_t>({count, step_bytes}, values, py::cast(job));
}

std::vector<py::bytes> outputs_bytes(const Job& job) {
  std::vector<py::bytes> outputs;
  for (const auto& values : job.outputs) {
    outputs.emplace_back(reinterpret_cast<const char*>(values.data()), values.size());
  }
  return outputs;
}

void bind_job(py::module_& module) {
  py::class_<Sequence, SequencePtr>(module, "Sequence")
      .def_property_readonly("job", [](const Sequence& it) { return it.job->shared_from_this(); })
      .def_readonly("position", &Sequence::position)
      .def_readonly("left", &Sequence::left)
      .def_readonly("slot", &Sequence::slot);
  py::class_<Job, JobPtr>(module, "Job", py::dynamic_attr())
      .def(py::init(&make_job), py::arg("sequences"), py::arg("priority"), py::arg("timeout_s"))
      .def(py::init(&make_tensor_job), py::arg("num_rows"), py::arg("kind"), py::arg("priority"),
           py::arg("timeout_s"))
      .def(py::init<const std::vector<long>&, const std::vector<long>&, long, double>(),
           py::kw_only(), py::arg("turns"), py::arg("rows"), py::arg("priority"),
           py::arg("timeout_s"))
      .def_readwrite("submitted_s", &Job::submitted_s)
      .def_readonly("deadline_s", &Job::deadline_s)
      .def_readonly("due_s", &Job::due_s)
      .def_readonly("priority", &Job::priority)
      .def_readonly("num_cells", &Job::num_cells)
      .def_readonly("work_s", &Job::work_s)
      .def_readonly("ran_s", &Job::ran_s)
      .def_readonly("done_s", &Job::done_s)
      .def_readonly("prepared_s", &Job::prepared_s)
      .def_readonly("num_runs", &Job::num_runs)
      .def_readonly("max_rows", &Job::max_rows)
      .def_readonly("trace_parent", &Job::trace_parent)
      .def_readwrite("trace_response", &Job::trace_response)
      .def("steps", &steps, py::arg("step_bytes"))
      .def_property(
          "gone", [](const Job& job) { return job.gone.load(); },
          [](Job& job, bool gone) { job.gone = gone; })
      .def_readonly("request_id", &Job::request_id)
      .def_readonly("waited_s", &Job::waited_s)
      .def_readwrite("keep_alive", &Job::keep_alive)
      .def_property_readonly("outputs", &outputs_bytes)
      .def_property_readonly("lengths",
                             [](const Job& job) {
                               std::vector<long> lengths;
                               for (const auto& it : job.sequences) lengths.push_back(it.length);
                               return lengths;
                             })
      .def_property_readonly("num_sequences", [](const Job& job) { return job.sequences.size(); })
      .def_property_readonly("sequences", [](Job& job) {
        std::vector<SequencePtr> sequences;
        for (std::size_t row = 0; row < job.sequences.size(); ++row) {
          sequences.push_back(job.sequence(row));
        }
        return sequences;
      });
}

void bind_run(py::module_& module) {
  py::class_<Workspace>(module, "Workspace").def(py::init<>());
  py::class_<Run, RunPtr>(module, "Run")
      .def_property_readonly("sequences", [](const Run& run) { return run.sequences; })
      .def_property_readonly("places", &places)
      .def("finish", &Run::finish, py::arg("row"))
      .def_readwrite("is_usual", &Run::is_usual)
      .def_readonly("counts", &Run::counts)
      .def_readonly("num_steps", &Run::num_steps)
      .def_readonly("num_real", &Run::num_real)
      .def_property_readonly("num_rows", &Run::num_rows)
      .def_readwrite("cpu_s", &Run::cpu_s)
      .def_readwrite("elapsed_s", &Run::elapsed_s);
}

// (bucket, trace id, value, seconds since 1970)
std::vector<std::tuple<std::size_t, std::string, double, double>> exemplars(Distribution& tally) {
  std::vector<std::tuple<std::size_t, std::string, double, double>> taken;
  for (const auto& [bucket, it] : tally.take_exemplars()) {
    taken.emplace_back(bucket, it.trace_id, it.value, it.at_s);
  }
  return taken;
}

void bind_tally(py::module_& module) {
  py::class_<Distribution, std::shared_ptr<Distribution>>(module, "Distribution")
      .def(py::init<std::vector<double>>(), py::arg("bounds"))
      .def("observe", py::overload_cast<double, const std::string&>(&Distribution::observe),
           py::arg("value"), py::arg("trace_id") = "")
      .def("take_exemplars", &exemplars)
      .def("counts", &Distribution::counts)
      .def("total", &Distribution::total);
  py::class_<Timing>(module, "Timing")
      .def_property_readonly("count", &Timing::count)
      .def_property_readonly("total_s", &Timing::total_s)
      .def("add", &Timing::add);
  py::class_<StageTally>(module, "StageTally")
      .def("observe", &StageTally::observe, py::arg("begun_s"), py::arg("submitted_s"),
           py::arg("ran_s"), py::arg("done_s"), py::arg("answered_s"), py::arg("num_rows"))
      .def_readonly("success", &StageTally::success)
      .def_readonly("fail", &StageTally::fail)
      .def_readonly("input", &StageTally::input)
      .def_readonly("queue", &StageTally::queue)
      .def_readonly("infer", &StageTally::infer)
      .def_readonly("output", &StageTally::output)
      .def_readonly("cache_hit", &StageTally::cache_hit)
      .def_readonly("cache_miss", &StageTally::cache_miss)
      .def_property_readonly("rows", [](const StageTally& it) { return it.rows.value(); })
      .def_property_readonly("last_s", [](const StageTally& it) { return it.last_s.load(); });
  py::class_<BatchTally::Stages>(module, "BatchStages")
      .def_readonly("input", &BatchTally::Stages::input)
      .def_readonly("infer", &BatchTally::Stages::infer)
      .def_readonly("output", &BatchTally::Stages::output);
  py::class_<BatchTally>(module, "BatchTally")
      .def("sizes", &BatchTally::sizes)
      .def("of", &BatchTally::of, py::return_value_policy::reference_internal, py::arg("num_rows"));
  py::class_<RunTally, std::shared_ptr<RunTally>>(module, "RunTally")
      .def(py::init<std::vector<double>, std::vector<double>>(), py::arg("seconds"),
           py::arg("rows"))
      .def_readonly("queue_s", &RunTally::queue_s)
      .def_readonly("compute_s", &RunTally::compute_s)
      .def_readonly("rows", &RunTally::rows)
      .def_readonly("batches", &RunTally::batches)
      .def_readonly("stages", &RunTally::stages)
      .def_property_readonly("cpu_s", [](const RunTally& it) { return it.cpu_s.value(); })
      .def_property_readonly("predicted_s",
                             [](const RunTally& it) { return it.predicted_s.value(); })
      .def_property_readonly("misprediction_s",
                             [](const RunTally& it) { return it.misprediction_s.value(); })
      .def_property_readonly("real_cells", [](const RunTally& it) { return it.real_cells.value(); })
      .def_property_readonly("padded_cells",
                             [](const RunTally& it) { return it.padded_cells.value(); });
}

}  // namespace

Outputs outputs_of(const std::vector<py::array>& tensors, const std::vector<Floats>& state) {
  Outputs outputs;
  for (const auto& tensor : tensors) {
    if (!(tensor.flags() & kContiguous)) throw py::value_error("an output is not contiguous");
    outputs.tensors.push_back(static_cast<const std::byte*>(tensor.data()));
  }
  for (const auto& tensor : state) outputs.state.push_back(tensor.data());
  return outputs;
}

void bind_schedule(py::module_& module) {
  bind_tally(module);
  bind_job(module);
  bind_run(module);
  module.attr("PATIENCE") = kPatience;
  py::class_<CostTable, std::shared_ptr<CostTable>>(module, "CostTable")
      .def(py::init<std::vector<std::vector<double>>, long, long>(), py::arg("seconds"),
           py::arg("stride"), py::arg("max_steps"))
      .def("predict", &CostTable::predict, py::arg("rows"), py::arg("steps"))
      .def("longest", &CostTable::longest, py::arg("rows"), py::arg("max_s"))
      .def("observe", &CostTable::observe, py::arg("rows"), py::arg("steps"), py::arg("cpu_s"))
      .def_property_readonly("cell_s", &CostTable::cell_s)
      .def_property_readonly("max_rows", &CostTable::max_rows)
      .def_property_readonly("max_steps", &CostTable::max_steps);
  py::class_<Bounds>(module, "Bounds")
      .def(py::init<long, long, double, long, long, double, long, long>(),
           py::arg("engine_threads"), py::arg("max_batch_size"), py::arg("max_run_s"),
           py::arg("chunk_steps"), py::arg("max_active_sequences"), py::arg("max_padding_ratio"),
           py::arg("max_queue_size"), py::arg("max_queue_cells"));
  py::class_<GraphSpec>(module, "GraphSpec")
      .def(py::init([](std::size_t step_bytes, bool is_ragged,
                       const std::vector<std::tuple<bool, std::size_t, long, long, long>>& outputs,
                       const std::vector<std::pair<std::vector<long>, float>>& state) {
             GraphSpec graph{step_bytes, is_ragged, {}, {}};
             for (const auto& [per_step, size, factor, offset, stride] : outputs) {
               graph.outputs.push_back({per_step, size, factor, offset, stride});
             }
             for (const auto& [shape, initial] : state) graph.state.emplace_back(shape, initial);
             return graph;
           }),
           py::arg("step_bytes"), py::arg("is_ragged"), py::arg("outputs"), py::arg("state"));
  py::class_<Sampler, std::shared_ptr<Sampler>>(module, "Sampler")
      .def(py::init<double>(), py::arg("share"))
      .def("offer", &Sampler::offer, py::arg("job"), py::arg("num_bytes"))
      .def("take", &Sampler::take);
  py::class_<Scheduler, SchedulerPtr>(module, "Scheduler")
      .def_property_readonly("num_waiting", &Scheduler::num_waiting)
      .def_property_readonly("num_active", &Scheduler::num_active)
      .def_property_readonly("next_due", &Scheduler::next_due)
      .def_readwrite("sampler", &Scheduler::sampler)
      .def_property_readonly("pool", [](const Scheduler& it) { return it.pool(); })
      .def("enqueue", &Scheduler::enqueue)
      .def("forget", &Scheduler::forget)
      .def("take", &Scheduler::take)
      .def("quarantine", &Scheduler::quarantine)
      .def_property_readonly("quarantine_left_s", &Scheduler::quarantine_left_s)
      .def("prepare", &Scheduler::prepare)
      .def("tensors", &tensors)
      .def("complete",
           [](Scheduler& it, const Run& run, const std::vector<py::array>& outputs,
              const std::vector<Floats>& state) {
             return it.complete(run, outputs_of(outputs, state));
           })
      .def("fail", &Scheduler::fail)
      .def("fail_rows", &Scheduler::fail_rows);
  py::class_<CellScheduler, Scheduler, std::shared_ptr<CellScheduler>>(module, "CellScheduler")
      .def(py::init<const Bounds&, std::shared_ptr<CostTable>, std::shared_ptr<RunTally>,
                    GraphSpec>(),
           py::arg("bounds"), py::arg("cost"), py::arg("tally"), py::arg("graph"))
      .def_property_readonly("free_slots", &CellScheduler::free_slots);
  py::class_<SequenceScheduler, Scheduler, std::shared_ptr<SequenceScheduler>>(module,
                                                                               "SequenceScheduler")
      .def(py::init<const Bounds&, std::shared_ptr<CostTable>, std::shared_ptr<RunTally>,
                    GraphSpec>(),
           py::arg("bounds"), py::arg("cost"), py::arg("tally"), py::arg("graph"))
      .def("cut", &SequenceScheduler::cut);
  py::class_<TensorScheduler, Scheduler, std::shared_ptr<TensorScheduler>>(module,
                                                                           "TensorScheduler")
      .def(py::init([](const Bounds& bounds, std::shared_ptr<CostTable> cost,
                       std::shared_ptr<RunTally> tally) {
             return std::make_shared<TensorScheduler>(bounds, std::move(cost), std::move(tally),
                                                      GraphSpec{});
           }),
           py::arg("bounds"), py::arg("cost"), py::arg("tally"));
  py::class_<TurnScheduler, Scheduler, std::shared_ptr<TurnScheduler>>(module, "TurnScheduler")
      .def(py::init([](const Bounds& bounds, std::shared_ptr<CostTable> cost,
                       std::shared_ptr<RunTally> tally) {
             return std::make_shared<TurnScheduler>(bounds, std::move(cost), std::move(tally),
                                                    GraphSpec{});
           }),
           py::arg("bounds"), py::arg("cost"), py::arg("tally"));
}

}  // namespace seqserve
