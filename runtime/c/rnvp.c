/* The checks of a flow.bin, and the functions of rnvp.h. rnvp_kernels.h has the computations. */
#include "rnvp.h"

#include <string.h>
#ifndef RNVP_FREESTANDING
#include <stdio.h>
#include <stdlib.h>
#endif

#include "rnvp_coefficients.h"
#include "rnvp_plan.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "flow.bin holds little-endian numbers, and this machine's are not"
#endif

#include "rnvp_angle.h"
#include "rnvp_stream.h"

#include "rnvp_instances.h"

/* ---- Which instance ---- */

#if defined(__x86_64__) && !defined(RNVP_BASELINE_ONLY)
#include <cpuid.h>

/* Whether the processor has the instructions, and the operating system keeps the registers. */
static int supported(unsigned target) {
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    int fma = c >> 12 & 1, saves = c >> 27 & 1;
    if (!fma || !saves || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    int avx2 = (b >> 5 & 1) && (low & 6) == 6;
    /* F, DQ, BW and VL; and the mask and 64-byte registers. */
    unsigned needed = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    int avx512 = avx2 && (b & needed) == needed && (low & 0xe6) == 0xe6;
    return target == RNVP_AVX512 ? avx512 : avx2;
}

static const struct kernels *instance(rnvp_dtype_name dtype, unsigned target) {
    int wide = dtype == RNVP_FLOAT64;
#ifndef RNVP_NO_AVX512
    if ((target == RNVP_AVX512 || !target) && supported(RNVP_AVX512))
        return wide ? &kernel_table_64_avx512 : &kernel_table_32_avx512;
#endif
    if ((target == RNVP_AVX2 || !target) && supported(RNVP_AVX2))
        return wide ? &kernel_table_64_avx2 : &kernel_table_32_avx2;
    if (target && target != RNVP_BASELINE) return NULL;
    return wide ? &kernel_table_64_baseline : &kernel_table_32_baseline;
}
#else
static const struct kernels *instance(rnvp_dtype_name dtype, unsigned target) {
    if (target && target != RNVP_BASELINE) return NULL;
    return dtype == RNVP_FLOAT64 ? &kernel_table_64_baseline : &kernel_table_32_baseline;
}
#endif

/* ---- Errors ---- */

/* `text` with each % replaced by the next number. */
static rnvp_status fail(rnvp_error *error, rnvp_status status, const char *text, uint64_t first,
                        uint64_t second, uint64_t third) {
    if (!error) return status;
    uint64_t numbers[3] = {first, second, third};
    size_t at = 0, next = 0, most = sizeof error->message - 1;
    error->status = status;
    for (; *text && at < most; text++) {
        if (*text != '%') {
            error->message[at++] = *text;
            continue;
        }
        char digits[20];
        int count = 0;
        uint64_t rest = numbers[next++];
        do digits[count++] = (char)('0' + rest % 10);
        while (rest /= 10);
        while (count && at < most) error->message[at++] = digits[--count];
    }
    error->message[at] = 0;
    return status;
}

/* ---- The format: docs/flow-bin.md ---- */

enum {
    VERSION = 1,
    HEADER = 64,    /* bytes of the header, and of a record */
    ALIGNMENT = 64, /* of each array */
    MOST_COLUMNS = 1 << 16,
    MOST_RECORDS = 1 << 16,
    DEEPEST = 8 /* residual blocks inside residual blocks */
};

/* Reads a flow.bin from front to back. Without memory it checks and measures; with it, it builds.
 */
typedef struct {
    const unsigned char *bytes;
    uint64_t size, expected; /* where the next array begins */
    char *memory;            /* NULL: measure */
    uint64_t used;
    rnvp_flow *flow;
    layer *layers;
    uint32_t records;
    rnvp_error *error;
    rnvp_status status;
    uint64_t columns; /* that the step at hand may need in the workspace */
} reader;

static int wrong(reader *r, rnvp_status status, const char *text, uint64_t a, uint64_t b,
                 uint64_t c) {
    r->status = fail(r->error, status, text, a, b, c);
    return 0;
}

static uint32_t u32(const unsigned char *from) {
    uint32_t n;
    memcpy(&n, from, sizeof n);
    return n;
}

static uint64_t u64(const unsigned char *from) {
    uint64_t n;
    memcpy(&n, from, sizeof n);
    return n;
}

static double f64(const unsigned char *from) {
    double x;
    memcpy(&x, from, sizeof x);
    return x;
}

static int finite(double x) { return x - x == 0; }

static uint64_t aligned(uint64_t n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* Room in the flow's memory; NULL while measuring. */
static void *room(reader *r, uint64_t bytes) {
    void *place = r->memory ? r->memory + r->used : NULL;
    r->used += aligned(bytes);
    return place;
}

/* The next `size` bytes of the file; what fills them up to the alignment must be zero. */
static const unsigned char *next_array(reader *r, uint64_t size, uint64_t record) {
    const unsigned char *array = r->bytes + r->expected;
    uint64_t end = r->expected + aligned(size);
    if (end > r->size) {
        wrong(r, RNVP_TRUNCATED, "the arrays of record % end at byte %, the file at byte %", record,
              end, r->size);
        return NULL;
    }
    for (uint64_t i = size; i < end - r->expected; i++)
        if (array[i]) {
            wrong(r, RNVP_MALFORMED, "record %: byte %, between arrays, is not zero", record,
                  r->expected + i, 0);
            return NULL;
        }
    r->expected = end;
    return array;
}

/* The next `count` numbers of the flow's type, all finite and, if asked, positive. */
static const unsigned char *next_numbers(reader *r, uint64_t count, int positive, uint64_t record) {
    uint64_t bytes = r->flow->dtype == RNVP_FLOAT64 ? 8 : 4;
    const unsigned char *array = next_array(r, count * bytes, record);
    for (uint64_t i = 0; array && i < count; i++) {
        double x;
        if (bytes == 8) {
            x = f64(array + 8 * i);
        } else {
            float single;
            memcpy(&single, array + 4 * i, sizeof single);
            x = (double)single;
        }
        if (!finite(x) || (positive && x <= 0)) {
            wrong(r, RNVP_NOT_FINITE,
                  positive ? "record %: number % of a scale is not finite and positive"
                           : "record %: weight % is not finite",
                  record, i, 0);
            return NULL;
        }
    }
    return array;
}

/* The same, copied into the flow. */
static int copied(reader *r, uint64_t count, int positive, uint64_t record, const void **to) {
    uint64_t bytes = count * (r->flow->dtype == RNVP_FLOAT64 ? 8 : 4);
    const unsigned char *array = next_numbers(r, count, positive, record);
    void *place = room(r, bytes);
    if (!array) return 0;
    if (place) memcpy(place, array, bytes), *to = place;
    return 1;
}

/* `count` column numbers below `limit`; none may have been seen before. */
static int next_columns(reader *r, uint64_t count, uint64_t limit, uint64_t record,
                        unsigned char *seen, const uint32_t **to) {
    const unsigned char *array = next_array(r, 4 * count, record);
    uint32_t *place = room(r, 4 * count);
    for (uint64_t i = 0; array && i < count; i++) {
        uint32_t column = u32(array + 4 * i);
        if (column >= limit || (seen[column / 8] >> column % 8 & 1))
            return wrong(r, RNVP_MALFORMED, "record %: column % is named twice, or is not below %",
                         record, column, limit);
        seen[column / 8] |= (unsigned char)(1 << column % 8);
        if (place) place[i] = column;
    }
    if (place) *to = place;
    return array != NULL;
}

static void packed_map(reader *r, uint32_t inputs, uint32_t outputs, const unsigned char *weights,
                       int transposed, const void *bias, dense_map *map) {
    int by_rows;
    const struct kernels *kernels = r->flow->kernels;
    void *place = room(r, kernels->packed(inputs, outputs, &by_rows));
    if (!place) return;
    *map = (dense_map){inputs, outputs, by_rows, place, bias};
    kernels->pack(weights, transposed, map, place);
}

/* A matrix (outputs, inputs) and a bias; where gradients are wanted, the transpose too. */
static int next_map(reader *r, uint32_t inputs, uint32_t outputs, uint64_t record, dense_map *map,
                    dense_map *transposed) {
    const void *bias = NULL, *zeros;
    const unsigned char *weights = next_numbers(r, (uint64_t)inputs * outputs, 0, record);
    if (!weights || !copied(r, outputs, 0, record, &bias)) return 0;
    packed_map(r, inputs, outputs, weights, 0, bias, map);
    if (!transposed || !r->flow->with_gradient) return 1;
    uint64_t bytes = (uint64_t)inputs * 8;
    zeros = room(r, bytes);
    if (zeros) memset((void *)zeros, 0, bytes);
    packed_map(r, outputs, inputs, weights, 1, zeros, transposed);
    return 1;
}

/* Record `index`, its fields read but not yet its arrays. */
static int next_record(reader *r, uint32_t index, layer *l) {
    if (index >= r->records)
        return wrong(r, RNVP_MALFORMED, "record % is needed, there are %", index, r->records, 0);
    const unsigned char *from = r->bytes + HEADER + (uint64_t)HEADER * index;
    memset(l, 0, sizeof *l);
    l->kind = u32(from), l->inputs = u32(from + 4), l->outputs = u32(from + 8);
    l->name = u32(from + 12), l->flags = u32(from + 16);
    l->trunk = u32(from + 20), l->sig = u32(from + 24), l->mu = u32(from + 28);
    l->parameters[0] = f64(from + 32), l->parameters[1] = f64(from + 40);
    l->size = 1;
    if (!l->inputs && l->kind != COUPLING)
        return wrong(r, RNVP_WIDTHS, "record % has no columns", index, 0, 0);
    if (l->inputs > MOST_COLUMNS || l->outputs > MOST_COLUMNS || !l->outputs)
        return wrong(r, RNVP_TOO_LARGE, "record % has % columns, expected 1 to %", index,
                     l->outputs ? (l->inputs > l->outputs ? l->inputs : l->outputs) : 0,
                     MOST_COLUMNS);
    if (!finite(l->parameters[0]) || !finite(l->parameters[1]))
        return wrong(r, RNVP_NOT_FINITE, "record %: a parameter is not finite", index, 0, 0);
    if (u64(from + 48) != r->expected)
        return wrong(r, RNVP_MALFORMED,
                     "record %: its arrays are said to begin at byte %, expected %", index,
                     u64(from + 48), r->expected);
    if (u64(from + 56))
        return wrong(r, RNVP_MALFORMED, "record %: its last 8 bytes are not zero", index, 0, 0);
    int elementwise = l->kind == ACTIVATION || l->kind == NORM || l->kind == RESCALE ||
                      l->kind == RESIDUAL || l->kind == LINEAR || l->kind == AFFINE;
    if (elementwise && l->inputs != l->outputs)
        return wrong(r, RNVP_WIDTHS, "record % has % columns in and % out, expected as many", index,
                     l->inputs, l->outputs);
    if (l->kind != COUPLING && (l->sig || l->mu || (l->kind != RESIDUAL && l->trunk)))
        return wrong(r, RNVP_MALFORMED, "record % holds no network, and says that it does", index,
                     0, 0);
    if (l->kind != COUPLING && l->flags > (l->kind == RESIDUAL))
        return wrong(r, RNVP_MALFORMED, "record % has unknown flags %", index, l->flags, 0);
    if (l->kind != COUPLING && l->kind != ACTIVATION && l->name)
        return wrong(r, RNVP_MALFORMED, "record % has a name %, expected 0", index, l->name, 0);
    r->columns += 4 * ((uint64_t)l->inputs + l->outputs) + 64; /* more than any step takes */
    return 1;
}

static void keep(reader *r, uint32_t index, const layer *l) {
    if (r->layers) r->layers[index] = *l;
}

/* `count` records from *index on: a network of `width` columns. Its outputs, or 0 on an error. */
static uint32_t network_of(reader *r, uint32_t *index, uint32_t count, uint32_t width, int depth) {
    if (count > r->records - *index)
        return (uint32_t)wrong(r, RNVP_MALFORMED,
                               "a network of % records at record %, where there are %", count,
                               *index, r->records);
    uint32_t end = *index + count;
    while (*index < end) {
        layer l;
        uint32_t at = *index;
        if (!next_record(r, at, &l)) return 0;
        if (l.inputs != width)
            return (uint32_t)wrong(r, RNVP_WIDTHS,
                                   "record % takes % columns, what comes before gives %", at,
                                   l.inputs, width);
        *index += 1;
        switch (l.kind) {
        case DENSE:
            if (!next_map(r, l.inputs, l.outputs, at, &l.map, &l.transposed_map)) return 0;
            break;
        case ACTIVATION:
            if (l.name >= ACTIVATIONS)
                return (uint32_t)wrong(r, RNVP_UNKNOWN_KIND, "record %: activation % is not known",
                                       at, l.name, 0);
            break;
        case NORM:
            if (l.parameters[0] < 0 || l.parameters[1] < 0 || l.parameters[1] >= l.inputs)
                return (uint32_t)wrong(r, RNVP_MALFORMED,
                                       "record %: eps or correction is out of range", at, 0, 0);
            break;
        case RESCALE:
            if (!copied(r, width, 0, at, &l.arrays[0]) || !copied(r, width, 0, at, &l.arrays[1]))
                return 0;
            break;
        case RESIDUAL: {
            if (depth == DEEPEST)
                return (uint32_t)wrong(r, RNVP_TOO_LARGE,
                                       "record %: more than % residual blocks in each other", at,
                                       DEEPEST, 0);
            l.body = l.trunk, l.trunk = 0;
            uint32_t made = network_of(r, index, l.body, width, depth + 1);
            if (!made) return 0;
            if (made != width)
                return (uint32_t)wrong(r, RNVP_WIDTHS,
                                       "record %: its body gives % columns, expected %", at, made,
                                       width);
            if (l.flags) {
                if (!r->flow->context_dim)
                    return (uint32_t)wrong(r, RNVP_WIDTHS,
                                           "record % has a gate, the flow no context", at, 0, 0);
                if (*index < r->records &&
                    u32(r->bytes + HEADER + (uint64_t)HEADER * *index) != DENSE)
                    return (uint32_t)wrong(r, RNVP_MALFORMED, "record %: its gate is not dense", at,
                                           0, 0);
                made = network_of(r, index, 1, r->flow->context_dim, depth + 1);
                if (!made) return 0;
                if (made != width)
                    return (uint32_t)wrong(r, RNVP_WIDTHS,
                                           "record %: its gate gives % columns, expected %", at,
                                           made, width);
            }
            if (*index > end)
                return (uint32_t)wrong(r, RNVP_MALFORMED, "record % reaches beyond its network", at,
                                       0, 0);
            l.size = *index - at;
            break;
        }
        default:
            return (uint32_t)wrong(r, RNVP_UNKNOWN_KIND, "record %: a layer of kind % is not known",
                                   at, l.kind, 0);
        }
        keep(r, at, &l);
        width = l.outputs;
    }
    return width;
}

static int coupling_of(reader *r, uint32_t *index, layer *l) {
    const rnvp_flow *flow = r->flow;
    uint32_t at = *index, dim = flow->dim;
    unsigned char seen[MOST_COLUMNS / 8 + 1];
    if (l->flags > (INVERTED | TAKES_CONTEXT | CENTRED))
        return wrong(r, RNVP_MALFORMED, "record % has unknown flags %", at, l->flags, 0);
    if (l->name >= SCALES)
        return wrong(r, RNVP_UNKNOWN_KIND, "record %: scale function % is not known", at, l->name,
                     0);
    uint64_t width = l->inputs + (l->flags & TAKES_CONTEXT ? flow->context_dim : 0);
    if (!width || width > MOST_COLUMNS)
        return wrong(r, RNVP_WIDTHS, "record %: a coupling reads % columns, expected 1 to %", at,
                     width, MOST_COLUMNS);
    memset(seen, 0, dim / 8 + 1);
    if (!next_columns(r, l->inputs, dim, at, seen, &l->passive)) return 0;
    if (!next_columns(r, l->outputs, dim, at, seen, &l->active)) return 0;
    if (l->trunk && !l->sig && !l->mu)
        return wrong(r, RNVP_MALFORMED, "record %: a coupling with a trunk and no head", at, 0, 0);
    *index += 1;
    uint32_t hidden = network_of(r, index, l->trunk, (uint32_t)width, 0);
    if (!hidden) return 0;
    uint32_t heads[2] = {l->sig, l->mu};
    for (int i = 0; i < 2; i++) {
        if (!heads[i]) continue;
        uint32_t made = network_of(r, index, heads[i], hidden, 0);
        if (!made) return 0;
        if (made != l->outputs)
            return wrong(r, RNVP_WIDTHS, "record %: a head gives % columns, expected %", at, made,
                         l->outputs);
    }
    l->size = *index - at;
    return 1;
}

static int steps_of(reader *r, const layer **steps) {
    rnvp_flow *flow = r->flow;
    for (uint32_t index = 0; index < r->records;) {
        layer l;
        uint32_t at = index;
        uint64_t before = r->columns;
        r->columns = 0;
        if (!next_record(r, at, &l)) return 0;
        switch (l.kind) {
        case COUPLING:
            if (!coupling_of(r, &index, &l)) return 0;
            break;
        case LINEAR:
        case AFFINE:
            index += 1;
            if (l.inputs != flow->dim)
                return wrong(r, RNVP_WIDTHS, "record % has % columns, the flow %", at, l.inputs,
                             flow->dim);
            if (l.kind == LINEAR) {
                if (!next_map(r, l.inputs, l.outputs, at, &l.map, &l.transposed_map) ||
                    !next_map(r, l.inputs, l.outputs, at, &l.inverse_map, NULL))
                    return 0;
            } else {
                for (int i = 0; i < 3; i++)
                    if (!copied(r, flow->dim, i > 0, at, &l.arrays[i])) return 0;
            }
            break;
        default:
            return wrong(r, RNVP_UNKNOWN_KIND, "record %: a step of kind % is not known", at,
                         l.kind, 0);
        }
        keep(r, at, &l);
        if (steps) steps[flow->step_count] = &r->layers[at];
        flow->step_count++;
        if (flow->with_gradient)
            r->columns += before; /* all that is kept */
        else if (before > r->columns)
            r->columns = before;
    }
    return 1;
}

static int header_of(reader *r) {
    static const unsigned char magic[8] = {'R', 'N', 'V', 'P', 'F', 'L', 'O', 'W'};
    const unsigned char *from = r->bytes;
    rnvp_flow *flow = r->flow;
    if (r->size < HEADER)
        return wrong(r, r->size >= 8 && memcmp(from, magic, 8) ? RNVP_NOT_A_FLOW : RNVP_TRUNCATED,
                     "% bytes are too few for a flow.bin, whose header has %", r->size, HEADER, 0);
    if (memcmp(from, magic, 8))
        return wrong(r, RNVP_NOT_A_FLOW, "this is no flow.bin: its first 8 bytes are not RNVPFLOW",
                     0, 0, 0);
    if (u32(from + 8) != VERSION)
        return wrong(r, RNVP_VERSION, "format version %, this library reads version %",
                     u32(from + 8), VERSION, 0);
    if (u64(from + 16) != r->size)
        return wrong(r, u64(from + 16) > r->size ? RNVP_TRUNCATED : RNVP_MALFORMED,
                     "the file was written with % bytes and has %", u64(from + 16), r->size, 0);
    uint32_t dtype = u32(from + 12);
    if (dtype != RNVP_FLOAT32 && dtype != RNVP_FLOAT64)
        return wrong(r, RNVP_UNKNOWN_KIND, "number type % is not known", dtype, 0, 0);
    flow->dtype = (rnvp_dtype_name)dtype;
    flow->dim = u32(from + 24), flow->context_dim = u32(from + 28), r->records = u32(from + 32);
    if (!flow->dim || flow->dim > MOST_COLUMNS || flow->context_dim > MOST_COLUMNS)
        return wrong(r, RNVP_TOO_LARGE,
                     "% columns and % of context, expected 1 to % (context: 0 to it)", flow->dim,
                     flow->context_dim, MOST_COLUMNS);
    if (r->records > MOST_RECORDS)
        return wrong(r, RNVP_TOO_LARGE, "% records, expected at most %", r->records, MOST_RECORDS,
                     0);
    flow->log_prob_constant = f64(from + 40);
    if (!finite(flow->log_prob_constant))
        return wrong(r, RNVP_NOT_FINITE, "the constant of log_prob is not finite", 0, 0, 0);
    if (u32(from + 36) || u64(from + 48) || u64(from + 56))
        return wrong(r, RNVP_MALFORMED, "bytes 36 to 39 and 48 to 63 of the header are not zero", 0,
                     0, 0);
    r->expected = HEADER + (uint64_t)HEADER * r->records;
    if (r->expected > r->size)
        return wrong(r, RNVP_TRUNCATED, "% records end at byte %, the file at byte %", r->records,
                     r->expected, r->size);
    return 1;
}

/* The whole file, into memory of `available` bytes or, if it is NULL, only checked and measured. */
static rnvp_status read_flow(const void *bytes, size_t size, unsigned how, void *memory,
                             uint64_t *used, rnvp_error *error) {
    rnvp_flow measured;
    reader r = {.bytes = bytes, .size = size, .memory = memory, .error = error};
    r.flow = room(&r, sizeof measured);
    if (!memory) r.flow = &measured;
    rnvp_flow *flow = r.flow;
    memset(flow, 0, sizeof *flow);
    if (!header_of(&r)) return r.status;
    flow->with_gradient = how & RNVP_GRADIENT;
    flow->kernels = instance(flow->dtype, how & ~(unsigned)RNVP_GRADIENT);
    if (!flow->kernels)
        return fail(error, RNVP_NO_TARGET,
                    "this processor or this build has no such instruction set", 0, 0, 0);
    r.layers = room(&r, r.records * (uint64_t)sizeof(layer));
    const layer **steps = room(&r, r.records * (uint64_t)sizeof(layer *));
    unsigned char seen[MOST_COLUMNS / 8 + 1];
    memset(seen, 0, flow->dim / 8 + 1);
    if (!next_columns(&r, flow->dim, flow->dim, 0, seen, &flow->x_columns)) return r.status;
    memset(seen, 0, flow->dim / 8 + 1);
    if (!next_columns(&r, flow->dim, flow->dim, 0, seen, &flow->z_columns)) return r.status;
    flow->steps = steps;
    if (!steps_of(&r, steps)) return r.status;
    if (r.expected != r.size)
        return fail(error, RNVP_MALFORMED, "the last array ends at byte %, the file at byte %",
                    r.expected, r.size, 0);
    /* Besides what a step takes: the state and the context, with gradients, and the noise. */
    uint64_t columns = r.columns + 8 * ((uint64_t)flow->dim + flow->context_dim) + 64;
    uint64_t traces = flow->with_gradient ? 4 * ((uint64_t)r.records + 4) : 0;
    uint64_t workspace = columns * flow->kernels->rows * 8 + traces * sizeof(trace);
    if (workspace > SIZE_MAX / 2 || r.used > SIZE_MAX / 2 || workspace > (uint64_t)1 << 40)
        return fail(error, RNVP_TOO_LARGE, "the flow needs % bytes and a workspace of %", r.used,
                    workspace, 0);
    flow->columns = (size_t)columns, flow->traces = (size_t)traces;
    *used = r.used;
    return RNVP_OK;
}

/* ---- The functions of rnvp.h ---- */

rnvp_status rnvp_measure(const void *bytes, size_t size, unsigned how, size_t *needed,
                         rnvp_error *error) {
    uint64_t used = 0;
    if (!bytes || !needed || how & ~(unsigned)(RNVP_GRADIENT | RNVP_AVX512))
        return fail(error, RNVP_ARGUMENT,
                    "bytes or needed is NULL, or how is % and not one of rnvp.h's", how, 0, 0);
    rnvp_status status = read_flow(bytes, size, how, NULL, &used, error);
    if (!status) *needed = (size_t)used;
    return status;
}

rnvp_status rnvp_build(const void *bytes, size_t size, unsigned how, void *memory, size_t available,
                       rnvp_flow **flow, rnvp_error *error) {
    size_t needed = 0;
    uint64_t used = 0;
    if (!flow) return fail(error, RNVP_ARGUMENT, "flow is NULL", 0, 0, 0);
    *flow = NULL;
    rnvp_status status = rnvp_measure(bytes, size, how, &needed, error);
    if (status) return status;
    if (!memory || available < needed || (uintptr_t)memory % ALIGNMENT)
        return fail(error, RNVP_ARGUMENT, "the flow needs % bytes aligned to %, given are %",
                    needed, ALIGNMENT, memory ? available : 0);
    status = read_flow(bytes, size, how, memory, &used, error);
    if (!status) *flow = memory;
    return status;
}

size_t rnvp_workspace_size(const rnvp_flow *flow) {
    size_t number = flow->dtype == RNVP_FLOAT64 ? 8 : 4;
    return flow->columns * flow->kernels->rows * number + flow->traces * sizeof(trace);
}

int rnvp_dim(const rnvp_flow *flow) { return (int)flow->dim; }
int rnvp_context_dim(const rnvp_flow *flow) { return (int)flow->context_dim; }
rnvp_dtype_name rnvp_dtype(const rnvp_flow *flow) { return flow->dtype; }
const char *rnvp_target(const rnvp_flow *flow) { return flow->kernels->target; }
size_t rnvp_rows_at_once(const rnvp_flow *flow) { return flow->kernels->rows; }

static int missing(const rnvp_flow *flow, const rnvp_workspace *workspace, size_t n, const void *in,
                   const void *context) {
    return !flow || !workspace || (n && (!in || !context != !flow->context_dim));
}

rnvp_status rnvp_forward(const rnvp_flow *flow, rnvp_workspace *workspace, size_t n, const void *x,
                         const void *context, void *log_prob, void *z) {
    if (missing(flow, workspace, n, x, context)) return RNVP_ARGUMENT;
    flow->kernels->forward(flow, workspace, n, x, context, log_prob, z);
    return RNVP_OK;
}

rnvp_status rnvp_inverse(const rnvp_flow *flow, rnvp_workspace *workspace, size_t n, const void *z,
                         const void *context, void *x, void *log_prob) {
    if (missing(flow, workspace, n, z, context)) return RNVP_ARGUMENT;
    flow->kernels->inverse(flow, workspace, n, z, context, x, log_prob);
    return RNVP_OK;
}

rnvp_status rnvp_sample(const rnvp_flow *flow, rnvp_workspace *workspace, uint64_t seed,
                        uint64_t start, size_t n, double temperature, const void *context, void *x,
                        void *log_prob) {
    const uint64_t most = INT64_MAX;
    if (missing(flow, workspace, n, flow, context)) return RNVP_ARGUMENT;
    if (start > most || n > most - start || !(temperature >= 0) || !finite(temperature))
        return RNVP_ARGUMENT;
    flow->kernels->sample(flow, workspace, seed, start, n, temperature, context, x, log_prob);
    return RNVP_OK;
}

rnvp_status rnvp_gradient(const rnvp_flow *flow, rnvp_workspace *workspace, size_t n, const void *x,
                          const void *context, void *log_prob, void *by_x, void *by_context) {
    if (missing(flow, workspace, n, x, context)) return RNVP_ARGUMENT;
    if (!flow->with_gradient) return RNVP_NO_GRADIENT;
    flow->kernels->gradient(flow, workspace, n, x, context, log_prob, by_x, by_context);
    return RNVP_OK;
}

#ifndef RNVP_FREESTANDING

/* Aligned memory; where the block that malloc gave begins is kept just before it. */
static void *allocate(size_t size) {
    char *block = size < SIZE_MAX - 2 * ALIGNMENT ? malloc(size + 2 * ALIGNMENT) : NULL;
    if (!block) return NULL;
    char *start = block + ALIGNMENT + (ALIGNMENT - (uintptr_t)block % ALIGNMENT);
    memcpy(start - sizeof block, &block, sizeof block);
    return start;
}

static void release(void *start) {
    char *block;
    if (!start) return;
    memcpy(&block, (char *)start - sizeof block, sizeof block);
    free(block);
}

rnvp_status rnvp_open(const void *bytes, size_t size, unsigned how, rnvp_flow **flow,
                      rnvp_error *error) {
    size_t needed = 0;
    if (!flow) return fail(error, RNVP_ARGUMENT, "flow is NULL", 0, 0, 0);
    *flow = NULL;
    rnvp_status status = rnvp_measure(bytes, size, how, &needed, error);
    if (status) return status;
    void *memory = allocate(needed);
    if (!memory) return fail(error, RNVP_NO_MEMORY, "no memory for % bytes", needed, 0, 0);
    status = rnvp_build(bytes, size, how, memory, needed, flow, error);
    if (status) release(memory);
    return status;
}

rnvp_status rnvp_open_file(const char *path, unsigned how, rnvp_flow **flow, rnvp_error *error) {
    if (!flow) return fail(error, RNVP_ARGUMENT, "flow is NULL", 0, 0, 0);
    *flow = NULL;
    FILE *file = path ? fopen(path, "rb") : NULL;
    if (!file) return fail(error, RNVP_NO_FILE, "the file cannot be opened", 0, 0, 0);
    long size = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    char *bytes = size < 0 || fseek(file, 0, SEEK_SET) ? NULL : malloc((size_t)size + 1);
    rnvp_status status;
    if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size)
        status = fail(error, RNVP_NO_FILE, "the file cannot be read", 0, 0, 0);
    else
        status = rnvp_open(bytes, (size_t)size, how, flow, error);
    free(bytes);
    fclose(file);
    return status;
}

void rnvp_close(rnvp_flow *flow) { release(flow); }

rnvp_workspace *rnvp_workspace_new(const rnvp_flow *flow) {
    return allocate(rnvp_workspace_size(flow));
}

void rnvp_workspace_free(rnvp_workspace *workspace) { release(workspace); }

#endif
