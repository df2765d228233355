#include "bind/bind.hpp"
#include "lane/fast_path.hpp"
#include "lane/numbers.hpp"
#include "lane/trace.hpp"

namespace seqserve {

namespace py = pybind11;

namespace {

std::string_view view(const py::bytes& bytes) { return std::string_view(bytes); }

// (key, its bytes, the body's bytes, the caller's id, its trace's parent, `authorization`,
// `x-api-key`); None if it is not whole or not plain.
py::object read_head(const HeadReader& reader, const py::bytes& data) {
  auto words = reader.read(view(data));
  if (!words) return py::none();
  return py::make_tuple(py::bytes(words->key), words->num_bytes, words->body_bytes,
                        py::bytes(words->request_id), words->trace_parent,
                        py::bytes(words->authorization), py::bytes(words->api_key));
}

// (bytes read, the head's id, the caller's id, job, refusal, the trace's parent of what is
// refused); None if the bytes are for Python.
py::object receive(FastPath& path, const py::bytes& data, double waited_s) {
  Received received = path.receive(view(data), waited_s);
  if (received.num_bytes == 0) return py::none();
  py::object refusal = py::none();
  if (received.refusal) refusal = error_of(*received.refusal);
  return py::make_tuple(received.num_bytes, received.head_id, py::bytes(received.request_id),
                        received.job, refusal, received.trace_parent);
}

// The answer to a job that `receive` gave; None if it has values that are no finite numbers.
py::object respond(const FastPath& path, const Job& job) {
  if (!all_finite(job)) return py::none();
  return py::bytes(make_response(job, path.default_lines));
}

// Where a body has its numbers, and the text of its id or None; None if its words can't be kept.
py::object cuts_of(const py::bytes& body, long json_bytes) {
  auto words = body_words(view(body), json_bytes);
  if (!words) return py::none();
  auto place = [&](std::string_view cut) {
    auto start = cut.data() - view(body).data();
    return py::make_tuple(start, start + static_cast<long>(cut.size()));
  };
  py::object id = py::none();
  if (words->id) id = place(*words->id);
  return py::make_tuple(place(words->numbers), id);
}

bool comes_again(FastPath& path, const std::string& model, const py::bytes& body, long json_bytes) {
  auto words = body_words(view(body), json_bytes);
  return words && path.comes_again(model, *words);
}

void learn_plan(FastPath& path, const std::string& model, const py::bytes& body, long json_bytes,
                PlanPtr plan) {
  if (auto words = body_words(view(body), json_bytes)) path.learn_plan(model, *words, plan);
}

py::object read_array(const py::bytes& array, std::size_t count) {
  std::vector<float> values;
  if (!read_numbers(view(array), count, values)) return py::none();
  return Floats(static_cast<py::ssize_t>(values.size()), values.data());
}

py::bytes write_array(const Floats& values) {
  std::string text;
  write_numbers(values.data(), static_cast<std::size_t>(values.size()), text);
  return text;
}

}  // namespace

void bind_lane(py::module_& module) {
  module.def("cuts_of", &cuts_of, py::arg("body"), py::arg("json_bytes"));
  module.def("read_trace_parent", &read_trace_parent, py::arg("header"));
  module.def("sampled_trace_id", &sampled_trace_id, py::arg("trace_parent"));
  module.def("read_numbers", &read_array, py::arg("array"), py::arg("count"));
  module.def("write_numbers", &write_array, py::arg("values"));
  py::class_<HeadReader>(module, "HeadReader")
      .def(py::init<std::vector<std::string>>(), py::arg("names"))
      .def("read", &read_head, py::arg("data"));
  py::class_<HotHead>(module, "HotHead")
      .def(py::init<long, std::string, bool, long>(), py::arg("head_id"), py::arg("model"),
           py::arg("keep_alive"), py::arg("json_bytes"));
  py::class_<Plan, std::shared_ptr<Plan>>(module, "Plan")
      .def(py::init([](bool is_text, std::size_t num_bytes, std::size_t inputs_start, long batch,
                       long steps, long features, std::vector<long> lengths,
                       std::size_t lengths_start, SchedulerPtr scheduler, long max_length,
                       long priority, double timeout_s, std::string header_lines,
                       std::string before_id,
                       const std::vector<std::tuple<std::string, std::size_t, bool>>& pieces,
                       std::string behind, std::shared_ptr<Distribution> elapsed_s) {
             std::vector<Piece> made;
             for (const auto& [before, output, is_binary] : pieces) {
               made.push_back({before, output, is_binary});
             }
             return std::make_shared<Plan>(
                 Plan{is_text, num_bytes, inputs_start, batch, steps, features, std::move(lengths),
                      lengths_start, std::move(scheduler), max_length, priority, timeout_s,
                      std::move(header_lines), std::move(before_id), std::move(made),
                      std::move(behind), std::move(elapsed_s)});
           }),
           py::kw_only(), py::arg("is_text"), py::arg("num_bytes"), py::arg("inputs_start"),
           py::arg("batch"), py::arg("steps"), py::arg("features"), py::arg("lengths"),
           py::arg("lengths_start"), py::arg("scheduler"), py::arg("max_length"),
           py::arg("priority"), py::arg("timeout_s"), py::arg("header_lines"), py::arg("before_id"),
           py::arg("pieces"), py::arg("behind"), py::arg("elapsed_s"));
  py::class_<FastPath>(module, "FastPath")
      .def(py::init<Engine&, const HeadReader&, double, std::size_t>(), py::keep_alive<1, 2>(),
           py::arg("engine"), py::arg("reader"), py::arg("timeout_s"), py::arg("max_body_bytes"))
      .def("learn_head", [](FastPath& it, const py::bytes& head,
                            const HotHead& hot) { it.learn_head(view(head), hot); })
      .def("comes_again", &comes_again, py::arg("model"), py::arg("body"), py::arg("json_bytes"))
      .def("learn_plan", &learn_plan, py::arg("model"), py::arg("body"), py::arg("json_bytes"),
           py::arg("plan"))
      .def("forget", &FastPath::forget)
      .def("receive", &receive, py::arg("data"), py::arg("waited_s") = 0.0)
      .def("respond", &respond)
      .def_property(
          "default_lines", [](const FastPath& it) { return py::bytes(it.default_lines); },
          [](FastPath& it, const py::bytes& lines) { it.default_lines = view(lines); });
}

}  // namespace seqserve
