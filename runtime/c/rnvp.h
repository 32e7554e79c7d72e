/* A normalizing flow of affine couplings, run from the bytes of a flow.bin file.
 *
 *     rnvp_flow *flow;
 *     rnvp_error error;
 *     if (rnvp_open_file("flow.bin", 0, &flow, &error)) puts(error.message);
 *     rnvp_workspace *workspace = rnvp_workspace_new(flow);
 *     rnvp_sample(flow, workspace, seed, 0, 1000, 1.0, NULL, x, log_prob);
 *
 * A flow is a bijection between data x and latents z, with z standard normal. Arrays are rows, one
 * after another: x and z are n rows of rnvp_dim(flow) numbers, context n rows of
 * rnvp_context_dim(flow), log_prob n numbers in nats. Their numbers are float, or double where
 * rnvp_dtype(flow) is RNVP_FLOAT64. NaN and infinity pass through, and stay in their row.
 *
 * A flow does not change once it is open: any number of threads may use it at once, each with a
 * workspace of its own. Nothing is allocated after opening, and there is no global state.
 *
 * Needs GCC 9, Clang 9 or newer (vector types), a little-endian machine, and memcpy and the like;
 * with RNVP_FREESTANDING defined no malloc and no files: see rnvp_measure. */
#ifndef RNVP_H
#define RNVP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rnvp_flow rnvp_flow;
typedef struct rnvp_workspace rnvp_workspace;

typedef enum {
    RNVP_OK = 0,
    RNVP_TRUNCATED,    /* the bytes end before what they must hold */
    RNVP_NOT_A_FLOW,   /* they do not begin as a flow.bin does */
    RNVP_VERSION,      /* a format version that this library does not know */
    RNVP_MALFORMED,    /* a field, size, offset or padding is not what the format says */
    RNVP_UNKNOWN_KIND, /* a step, activation or scale function that the format does not have */
    RNVP_WIDTHS,       /* the columns of one step do not fit the next */
    RNVP_NOT_FINITE,   /* a weight or a parameter is NaN or infinite */
    RNVP_TOO_LARGE,    /* beyond the format's limits, or this machine's address space */
    RNVP_NO_MEMORY,    /* malloc returned NULL */
    RNVP_NO_FILE,      /* the file cannot be read */
    RNVP_NO_TARGET,    /* this processor, or this build, lacks the instruction set asked for */
    RNVP_NO_GRADIENT,  /* the flow was opened without RNVP_GRADIENT */
    RNVP_ARGUMENT      /* an argument is out of range or missing */
} rnvp_status;

typedef struct {
    rnvp_status status;
    char message[200]; /* one line: what was found, what was expected */
} rnvp_error;

typedef enum { RNVP_FLOAT32 = 1, RNVP_FLOAT64 = 2 } rnvp_dtype_name;

/* How to open a flow: 0, or a sum of these. */
enum {
    RNVP_GRADIENT = 1,  /* prepare for rnvp_gradient, which takes twice the memory */
    RNVP_BASELINE = 16, /* the instruction set to use, instead of the best one there is */
    RNVP_AVX2 = 32,
    RNVP_AVX512 = 48
};

/* Open a flow from the `size` bytes of a flow.bin, which are checked whole, copied, and may be
 * freed then. On failure *flow is NULL and *error (unless NULL) says why. */
rnvp_status rnvp_open(const void *bytes, size_t size, unsigned how, rnvp_flow **flow,
                      rnvp_error *error);
rnvp_status rnvp_open_file(const char *path, unsigned how, rnvp_flow **flow, rnvp_error *error);
void rnvp_close(rnvp_flow *flow); /* NULL is allowed */

/* What one thread needs to run a flow; NULL where memory is short. */
rnvp_workspace *rnvp_workspace_new(const rnvp_flow *flow);
void rnvp_workspace_free(rnvp_workspace *workspace); /* NULL is allowed */

/* The same in memory of the caller, without malloc: first ask how many bytes the flow needs, then
 * build it there. `memory` and a workspace are aligned to 64 bytes. */
rnvp_status rnvp_measure(const void *bytes, size_t size, unsigned how, size_t *needed,
                         rnvp_error *error);
rnvp_status rnvp_build(const void *bytes, size_t size, unsigned how, void *memory, size_t available,
                       rnvp_flow **flow, rnvp_error *error);
size_t rnvp_workspace_size(const rnvp_flow *flow);

int rnvp_dim(const rnvp_flow *flow);         /* d */
int rnvp_context_dim(const rnvp_flow *flow); /* c, 0 for an unconditional flow */
rnvp_dtype_name rnvp_dtype(const rnvp_flow *flow);
const char *rnvp_target(const rnvp_flow *flow);  /* "baseline", "avx2", "avx512" */
size_t rnvp_rows_at_once(const rnvp_flow *flow); /* n in multiples of this is fastest */

/* In all that follows, `context` is NULL for an unconditional flow, and an output that is NULL is
 * not written. An output must not overlap an input, except that z may be x (or x be z). */

/* x -> log p(x | context), z. */
rnvp_status rnvp_forward(const rnvp_flow *flow, rnvp_workspace *workspace, size_t n, const void *x,
                         const void *context, void *log_prob, void *z);

/* z -> x, log p(x | context). */
rnvp_status rnvp_inverse(const rnvp_flow *flow, rnvp_workspace *workspace, size_t n, const void *z,
                         const void *context, void *x, void *log_prob);

/* Rows start ... start + n - 1 of the sample stream `seed`: z is `temperature` times the stream's
 * normals (Philox4x32-10 and Box-Muller, docs/stream.md), x its image. start + n is at most
 * 2^63 - 1, temperature finite and not negative. */
rnvp_status rnvp_sample(const rnvp_flow *flow, rnvp_workspace *workspace, uint64_t seed,
                        uint64_t start, size_t n, double temperature, const void *context, void *x,
                        void *log_prob);

/* x -> log p(x | context), its gradient by x (n, d) and by context (n, c). */
rnvp_status rnvp_gradient(const rnvp_flow *flow, rnvp_workspace *workspace, size_t n, const void *x,
                          const void *context, void *log_prob, void *by_x, void *by_context);

/* The stream's four words of (seed, row, block), and its normals: n rows of `dim` doubles. */
void rnvp_stream_words(uint64_t seed, uint64_t row, uint32_t block, uint32_t words[4]);

#ifdef __cplusplus
}
#endif

#endif
