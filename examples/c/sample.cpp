// sample.cpp: draw samples from a bundle, in C++17 on onnxruntime's C API.
//
//     sample-cpp BUNDLE N SEED [START [TEMPERATURE [CONTEXT.csv]]]
//
// The same program as sample.c, writing the same CSV: the columns of x, then log_prob in nats.
// `Sampler` is the part to copy into an app.

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ort.h"

namespace {

using Error = std::runtime_error;

const OrtApi &ort() {
    static const OrtApi *const api = [] {
        char why[512];
        const OrtApi *found = ort_open(why);
        if (!found) throw Error(why);
        return found;
    }();
    return *api;
}

// Owners of onnxruntime's handles.
template <typename T> struct Release;
template <typename T> using Owned = std::unique_ptr<T, Release<T>>;
#define ORT_OWNED(Type) \
    template <> struct Release<Ort##Type> { \
        void operator()(Ort##Type *handle) const { ort().Release##Type(handle); } \
    }
ORT_OWNED(Status);
ORT_OWNED(Env);
ORT_OWNED(SessionOptions);
ORT_OWNED(Session);
ORT_OWNED(MemoryInfo);
ORT_OWNED(Value);
ORT_OWNED(TypeInfo);
ORT_OWNED(TensorTypeAndShapeInfo);

void check(OrtStatus *status) {
    if (const Owned<OrtStatus> owned{status}) throw Error(ort().GetErrorMessage(status));
}

// What ``function`` of the table hands out through its last argument.
template <typename T, typename Function, typename... Arguments>
Owned<T> make(Function function, Arguments... arguments) {
    T *handle = nullptr;
    check((ort().*function)(arguments..., &handle));
    return Owned<T>{handle};
}

std::string read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    std::string content{std::istreambuf_iterator<char>(file), {}};
    if (!file) throw Error("cannot read " + path);
    return content;
}

template <typename Real> constexpr ONNXTensorElementDataType type_of{};
template <> constexpr auto type_of<float> = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
template <> constexpr auto type_of<double> = ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE;
template <> constexpr auto type_of<std::int64_t> = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;

template <typename Real> struct Rows {
    std::size_t width;  // columns of x
    std::vector<Real> x, log_prob;
};

// The sampler of one bundle.
class Sampler {
  public:
    explicit Sampler(const std::string &bundle) {
        const std::string graph = read_file(bundle + "/sampler.onnx");
        check(ort().SetIntraOpNumThreads(options_.get(), 1));
        session_ = make<OrtSession>(&OrtApi::CreateSessionFromArray, env_.get(), graph.data(),
                                    graph.size(), options_.get());
        std::size_t inputs;
        check(ort().SessionGetInputCount(session_.get(), &inputs));
        if (inputs != 4 && inputs != 5) throw Error(bundle + " holds no sampler");
        is_double_ = input(3).type == type_of<double>;
        if (inputs == 5) context_dim_ = input(4).width;
    }

    bool is_double() const { return is_double_; }
    std::size_t context_dim() const { return context_dim_; }

    // Rows start … start + count − 1 of the stream ``seed``; context: count × context_dim numbers.
    template <typename Real>
    Rows<Real> sample(std::int64_t count, std::int64_t seed, std::int64_t start, Real temperature,
                      std::vector<Real> context) const {
        const char *const names[] = {"seed", "start", "count", "temperature", "context"};
        const char *const results[] = {"x", "log_prob"};
        const std::array<std::int64_t, 2> shape{count, static_cast<std::int64_t>(context_dim_)};
        const std::array<Owned<OrtValue>, 5> given{
            tensor(&seed, 1, nullptr, 0), tensor(&start, 1, nullptr, 0),
            tensor(&count, 1, nullptr, 0), tensor(&temperature, 1, nullptr, 0),
            context_dim_ ? tensor(context.data(), context.size(), shape.data(), 2) : nullptr};
        std::array<const OrtValue *, 5> in;
        std::transform(given.begin(), given.end(), in.begin(), [](auto &g) { return g.get(); });
        OrtValue *out[2] = {nullptr, nullptr};
        check(ort().Run(session_.get(), nullptr, names, in.data(), context_dim_ ? 5 : 4, results,
                        2, out));
        const Owned<OrtValue> x{out[0]}, log_prob{out[1]};
        const auto info = make<OrtTensorTypeAndShapeInfo>(&OrtApi::GetTensorTypeAndShape, x.get());
        std::array<std::int64_t, 2> size;
        check(ort().GetDimensions(info.get(), size.data(), 2));
        const auto n = static_cast<std::size_t>(size[0]), d = static_cast<std::size_t>(size[1]);
        return {d, copy<Real>(x.get(), n * d), copy<Real>(log_prob.get(), n)};
    }

  private:
    struct Input {
        ONNXTensorElementDataType type;
        std::size_t width;  // length of the last axis
    };

    Input input(std::size_t i) const {
        const auto owner = make<OrtTypeInfo>(&OrtApi::SessionGetInputTypeInfo, session_.get(), i);
        const OrtTensorTypeAndShapeInfo *info;
        ONNXTensorElementDataType type;
        std::size_t rank;
        check(ort().CastTypeInfoToTensorInfo(owner.get(), &info));
        check(ort().GetTensorElementType(info, &type));
        check(ort().GetDimensionsCount(info, &rank));
        std::vector<std::int64_t> shape(rank);
        check(ort().GetDimensions(info, shape.data(), rank));
        return {type, shape.empty() ? 1 : static_cast<std::size_t>(shape.back())};
    }

    // A tensor that refers to ``data`` and does not copy it; a scalar's rank is 0.
    template <typename Real>
    Owned<OrtValue> tensor(Real *data, std::size_t n, const std::int64_t *shape,
                           std::size_t rank) const {
        return make<OrtValue>(&OrtApi::CreateTensorWithDataAsOrtValue, cpu_.get(),
                              static_cast<void *>(data), n * sizeof(Real), shape, rank,
                              type_of<Real>);
    }

    template <typename Real> static std::vector<Real> copy(OrtValue *value, std::size_t n) {
        void *data;
        check(ort().GetTensorMutableData(value, &data));
        const auto *first = static_cast<const Real *>(data);
        return {first, first + n};
    }

    Owned<OrtEnv> env_ = make<OrtEnv>(&OrtApi::CreateEnv, ORT_LOGGING_LEVEL_ERROR, "rnvp");
    Owned<OrtSessionOptions> options_ = make<OrtSessionOptions>(&OrtApi::CreateSessionOptions);
    Owned<OrtMemoryInfo> cpu_ =
        make<OrtMemoryInfo>(&OrtApi::CreateCpuMemoryInfo, OrtArenaAllocator, OrtMemTypeDefault);
    Owned<OrtSession> session_;
    bool is_double_ = false;
    std::size_t context_dim_ = 0;
};

// All of ``text`` as a whole number; nothing if it is none or out of range.
template <typename Whole> std::optional<Whole> parse(const std::string &text) {
    Whole value{};
    const char *end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end) return {};
    return value;
}

// All of ``text`` as a number; NaN if it is none. (Not every library has from_chars for it yet.)
double real(const std::string &text) {
    char *end;
    const double value = std::strtod(text.c_str(), &end);
    return end == text.c_str() || *end ? std::nan("") : value;
}

std::int64_t whole(const std::string &text, const std::string &name) {
    const auto value = parse<std::int64_t>(text);
    if (!value || *value < 0)
        throw Error(name + " is " + text + ", expected a whole number from 0 to 2^63 - 1");
    return *value;
}

// A seed is 64 bits: -2^63 to 2^64 - 1, negative ones by two's complement.
std::int64_t seed_bits(const std::string &text) {
    if (const auto value = parse<std::int64_t>(text)) return *value;
    const auto bits = parse<std::uint64_t>(text);
    if (!bits) throw Error("SEED is " + text + ", expected -2^63 to 2^64 - 1");
    std::int64_t seed;
    std::memcpy(&seed, &*bits, sizeof seed);
    return seed;
}

double heat(const std::string &text) {
    const double value = real(text);
    if (!std::isfinite(value) || value < 0)
        throw Error("TEMPERATURE is " + text + ", expected a finite number, 0 or more");
    return value;
}

// The numbers of a CSV file without a header.
std::vector<double> read_numbers(const std::string &path) {
    std::string text = read_file(path), word;
    std::replace(text.begin(), text.end(), ',', ' ');
    std::vector<double> numbers;
    for (std::istringstream words(text); words >> word;) {
        numbers.push_back(real(word));
        if (std::isnan(numbers.back())) throw Error(path + ": expected a number, found " + word);
    }
    return numbers;
}

template <typename Real> void write(const Rows<Real> &rows) {
    constexpr int digits = std::numeric_limits<Real>::max_digits10;
    for (std::size_t i = 0; i < rows.log_prob.size(); ++i) {
        for (std::size_t j = 0; j < rows.width; ++j)
            std::printf("%.*g,", digits, static_cast<double>(rows.x[i * rows.width + j]));
        std::printf("%.*g\n", digits, static_cast<double>(rows.log_prob[i]));
    }
}

constexpr std::int64_t tile = 1024;  // rows a call, so that a large N needs little memory

template <typename Real>
void run(const Sampler &sampler, std::int64_t rows, std::int64_t seed, std::int64_t first,
         double temperature, const std::vector<double> &context) {
    const std::size_t width = sampler.context_dim();
    const bool one = context.size() == width;  // row of context for all samples
    const auto wanted = static_cast<std::size_t>(rows);
    if (!one && (context.size() % width || context.size() / width != wanted))
        throw Error("CONTEXT.csv holds " + std::to_string(context.size()) + " numbers, expected " +
                    std::to_string(width) + ", or that many for each sample");
    for (std::int64_t done = 0; done < rows; done += tile) {
        const std::int64_t count = std::min(tile, rows - done);
        std::vector<Real> given(static_cast<std::size_t>(count) * width);
        const std::size_t skipped = one ? 0 : static_cast<std::size_t>(done) * width;
        for (std::size_t k = 0; k < given.size(); ++k)
            given[k] = static_cast<Real>(context[one ? k % width : skipped + k]);
        write(sampler.sample(count, seed, first + done, static_cast<Real>(temperature),
                             std::move(given)));
    }
}

void sample(const std::vector<std::string> &words) {
    if (words.size() < 3 || words.size() > 6)
        throw Error("usage: sample-cpp BUNDLE N SEED [START [TEMPERATURE [CONTEXT.csv]]]");
    const std::int64_t rows = whole(words[1], "N"), seed = seed_bits(words[2]);
    const std::int64_t first = words.size() > 3 ? whole(words[3], "START") : 0;
    const double temperature = words.size() > 4 ? heat(words[4]) : 1;
    if (rows > std::numeric_limits<std::int64_t>::max() - first)
        throw Error("START + N must be at most 2^63 - 1");
    const Sampler sampler(words[0]);
    if (sampler.context_dim() && words.size() < 6)
        throw Error("the flow is conditional: name a CONTEXT.csv");
    if (!sampler.context_dim() && words.size() == 6)
        throw Error("the flow takes no context: leave CONTEXT.csv out");
    const auto context = words.size() == 6 ? read_numbers(words[5]) : std::vector<double>{};
    const auto draw = sampler.is_double() ? run<double> : run<float>;
    draw(sampler, rows, seed, first, temperature, context);
    if (std::fflush(stdout) || std::ferror(stdout)) throw Error("cannot write the samples");
}

}  // namespace

int main(int argc, char **argv) {
    try {
        sample({argv + 1, argv + argc});
    } catch (const std::exception &error) {
        std::string text = error.what();
        std::replace(text.begin(), text.end(), '\n', ' ');
        std::fprintf(stderr, "sample-cpp: %s\n", text.c_str());
        return 1;
    }
}
