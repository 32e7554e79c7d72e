/* sample.c: draw samples from a bundle, through onnxruntime's C API.

       sample BUNDLE N SEED [START [TEMPERATURE [CONTEXT.csv]]]

   Writes CSV: the columns of x in the manifest's order, then log_prob in nats, with as many
   digits as bring the same numbers back. Row i of a seed is the same however it is asked for. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ort.h"

enum { TILE = 1024 }; /* rows a call, so that a large N needs little memory */

static const char *const INPUTS[] = {"seed", "start", "count", "temperature", "context"};
static const char *const OUTPUTS[] = {"x", "log_prob"};
static const OrtApi *ort;

/* One line on stderr, and exit code 1. */
static void die(const char *format, ...) {
    char text[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    for (char *c = text; *c; c++)
        if (*c == '\n') *c = ' ';
    fprintf(stderr, "sample: %s\n", text);
    exit(1);
}

static void check(OrtStatus *status) {
    if (status) die("%s", ort->GetErrorMessage(status));
}

static void *memory(size_t bytes) {
    void *found = malloc(bytes ? bytes : 1);
    if (!found) die("out of memory");
    return found;
}

static int64_t whole(const char *text, const char *name) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < 0)
        die("%s is %s, expected a whole number from 0 to 2^63 - 1", name, text);
    return value;
}

/* A seed is 64 bits: -2^63 to 2^64 - 1, negative ones by two's complement. */
static int64_t seed_bits(const char *text) {
    char *end;
    errno = 0;
    uint64_t bits =
        *text == '-' ? (uint64_t)strtoll(text, &end, 10) : (uint64_t)strtoull(text, &end, 10);
    if (end == text || *end || errno) die("SEED is %s, expected -2^63 to 2^64 - 1", text);
    int64_t seed;
    memcpy(&seed, &bits, sizeof seed);
    return seed;
}

static double heat(const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < 0)
        die("TEMPERATURE is %s, expected a finite number, 0 or more", text);
    return value;
}

static char *read_file(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file) die("cannot read %s: %s", path, strerror(errno));
    char *content = NULL;
    size_t room = 0, used = 0, got = 0;
    do {
        used += got;
        if (used == room && !(content = realloc(content, (room = 2 * room + 65536) + 1)))
            die("out of memory");
        got = fread(content + used, 1, room - used, file);
    } while (got);
    if (ferror(file)) die("cannot read %s", path);
    fclose(file);
    content[used] = '\0';
    *bytes = used;
    return content;
}

/* The numbers of a CSV file without a header: one row for each sample, or one for all. */
static double *read_context(const char *path, int64_t rows, int64_t width, bool *one) {
    size_t bytes, used = 0;
    char *text = read_file(path, &bytes), *at = text, *end;
    double *numbers = memory((bytes / 2 + 1) * sizeof *numbers); /* a digit and a comma each */
    for (;; at = end) {
        at += strspn(at, ", \t\r\n");
        double value = strtod(at, &end);
        if (end == at) break;
        numbers[used++] = value;
    }
    if (*at) die("%s: expected a number at '%.20s'", path, at);
    free(text);
    size_t wanted = (size_t)width;
    *one = used == wanted;
    if (!*one && (used % wanted || used / wanted != (uint64_t)rows))
        die("%s holds %zu numbers, expected %zu, or %zu for each of %" PRId64 " samples", path,
            used, wanted, wanted, rows);
    return numbers;
}

/* A scalar's shape has no axes: rank 0. The value refers to ``data`` and does not copy it. */
static OrtValue *tensor(OrtMemoryInfo *cpu, void *data, size_t bytes, const int64_t *shape,
                        size_t rank, ONNXTensorElementDataType type) {
    OrtValue *value = NULL;
    check(ort->CreateTensorWithDataAsOrtValue(cpu, data, bytes, shape, rank, type, &value));
    return value;
}

/* Type of input ``i``, and the length of its last axis. */
static ONNXTensorElementDataType input_type(OrtSession *session, size_t i, int64_t *width) {
    OrtTypeInfo *info;
    const OrtTensorTypeAndShapeInfo *tensor_info;
    ONNXTensorElementDataType type;
    size_t rank;
    int64_t shape[2] = {0, 1};
    check(ort->SessionGetInputTypeInfo(session, i, &info));
    check(ort->CastTypeInfoToTensorInfo(info, &tensor_info));
    check(ort->GetTensorElementType(tensor_info, &type));
    check(ort->GetDimensionsCount(tensor_info, &rank));
    if (rank > 2) die("input %zu has %zu axes, expected at most 2", i, rank);
    check(ort->GetDimensions(tensor_info, shape, rank));
    ort->ReleaseTypeInfo(info);
    *width = shape[1];
    return type;
}

static double number(const void *values, int64_t i, bool wide) {
    return wide ? ((const double *)values)[i] : (double)((const float *)values)[i];
}

static void set_number(void *values, int64_t i, bool wide, double value) {
    if (wide) ((double *)values)[i] = value;
    else ((float *)values)[i] = (float)value;
}

/* Write one tile of samples. */
static void write_rows(OrtValue *x, OrtValue *log_prob, bool wide) {
    OrtTensorTypeAndShapeInfo *info;
    int64_t shape[2];
    void *xs, *densities;
    check(ort->GetTensorTypeAndShape(x, &info));
    check(ort->GetDimensions(info, shape, 2));
    ort->ReleaseTensorTypeAndShapeInfo(info);
    check(ort->GetTensorMutableData(x, &xs));
    check(ort->GetTensorMutableData(log_prob, &densities));
    int digits = wide ? 17 : 9; /* enough to name a double or a float */
    for (int64_t i = 0; i < shape[0]; i++) {
        for (int64_t j = 0; j < shape[1]; j++)
            printf("%.*g,", digits, number(xs, i * shape[1] + j, wide));
        printf("%.*g\n", digits, number(densities, i, wide));
    }
}

int main(int argc, char **argv) {
    if (argc < 4 || argc > 7)
        die("usage: sample BUNDLE N SEED [START [TEMPERATURE [CONTEXT.csv]]]");
    int64_t rows = whole(argv[2], "N");
    int64_t seed = seed_bits(argv[3]);
    int64_t first = argc > 4 ? whole(argv[4], "START") : 0;
    double temperature = argc > 5 ? heat(argv[5]) : 1;
    if (rows > INT64_MAX - first) die("START + N must be at most 2^63 - 1");

    char why[512], path[4096];
    if (!(ort = ort_open(why))) die("%s", why);
    if (snprintf(path, sizeof path, "%s/sampler.onnx", argv[1]) >= (int)sizeof path)
        die("the path of the bundle is too long");
    size_t bytes;
    char *graph = read_file(path, &bytes);

    OrtEnv *env;
    OrtSessionOptions *options;
    OrtSession *session;
    OrtMemoryInfo *cpu;
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "rnvp", &env));
    check(ort->CreateSessionOptions(&options));
    check(ort->SetIntraOpNumThreads(options, 1));
    check(ort->CreateSessionFromArray(env, graph, bytes, options, &session));
    check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &cpu));
    free(graph);

    size_t inputs;
    check(ort->SessionGetInputCount(session, &inputs));
    if (inputs != 4 && inputs != 5) die("%s is not a bundle's sampler", path);
    int64_t width;
    ONNXTensorElementDataType real = input_type(session, 3, &width);
    bool wide = real == ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, one = false;
    if (inputs == 5) input_type(session, 4, &width);
    if (width < 1) die("%s is not a bundle's sampler", path);
    if (inputs == 5 && argc < 7) die("the flow is conditional: name a CONTEXT.csv");
    if (inputs == 4 && argc == 7) die("the flow takes no context: leave CONTEXT.csv out");
    double *context = inputs == 5 ? read_context(argv[6], rows, width, &one) : NULL;

    size_t size = wide ? sizeof(double) : sizeof(float);
    void *hot = memory(size), *given = memory(size * (size_t)width * TILE);
    set_number(hot, 0, wide, temperature);
    for (int64_t done = 0; done < rows; done += TILE) {
        int64_t count = rows - done < TILE ? rows - done : TILE, start = first + done;
        int64_t shape[2] = {count, width};
        OrtValue *in[5] = {NULL}, *out[2] = {NULL};
        int64_t *scalars[] = {&seed, &start, &count};
        for (int i = 0; i < 3; i++)
            in[i] = tensor(cpu, scalars[i], 8, NULL, 0, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
        in[3] = tensor(cpu, hot, size, NULL, 0, real);
        if (context) {
            for (int64_t k = 0; k < count * width; k++)
                set_number(given, k, wide, context[one ? k % width : done * width + k]);
            in[4] = tensor(cpu, given, size * (size_t)(count * width), shape, 2, real);
        }
        check(ort->Run(session, NULL, INPUTS, (const OrtValue *const *)in, inputs, OUTPUTS, 2,
                       out));
        write_rows(out[0], out[1], wide);
        for (size_t i = 0; i < inputs; i++) ort->ReleaseValue(in[i]);
        for (size_t i = 0; i < 2; i++) ort->ReleaseValue(out[i]);
    }
    if (fflush(stdout) || ferror(stdout)) die("cannot write the samples: %s", strerror(errno));

    free(hot);
    free(given);
    free(context);
    ort->ReleaseMemoryInfo(cpu);
    ort->ReleaseSession(session);
    ort->ReleaseSessionOptions(options);
    ort->ReleaseEnv(env);
    return 0;
}
