/* An open flow: the steps of its flow.bin in the file's order, with weights laid out for reading.
 */
#ifndef RNVP_PLAN_H
#define RNVP_PLAN_H

#include "rnvp.h"

/* Kinds of record, as in docs/flow-bin.md. */
enum {
    COUPLING = 1,
    LINEAR = 2,
    AFFINE = 3,
    DENSE = 16,
    ACTIVATION = 17,
    NORM = 18,
    RESCALE = 19,
    RESIDUAL = 20
};

/* Activations. */
enum {
    IDENTITY,
    RELU,
    LEAKY_RELU,
    TANH,
    SIGMOID,
    SILU,
    ELU,
    SELU,
    SOFTPLUS,
    GELU_TANH,
    GELU,
    SIN,
    EXP,
    MULTIPLY,
    CLAMP_EXP,
    SOFTSIGN,
    LOG_SIGMOID,
    MISH,
    HARD_TANH,
    RELU6,
    HARD_SIGMOID,
    HARD_SWISH,
    ACTIVATIONS
};

/* Scale functions. */
enum {
    SCALE_EXP,
    SCALE_TANH,
    SCALE_ATAN,
    SCALE_SOFT_CLIP,
    SCALE_LOG_SIGMOID,
    SCALE_LOG_SIGMOID_PLUS,
    SCALE_LOG_SOFTPLUS,
    SCALE_CLIP,
    SCALES
};

enum { INVERTED = 1, TAKES_CONTEXT = 2, CENTRED = 4 }; /* flags of a coupling */

/* y = W x + b. The weights lie in panels of RNVP_PANEL vectors of outputs, [panel][input][output],
 * the last panel as narrow as whole vectors allow; or, where the outputs are few (`by_rows`), as
 * [output][input], each row filled up to whole vectors. What fills up is zero. */
typedef struct {
    uint32_t inputs, outputs;
    int by_rows;
    const void *weights, *bias;
} dense_map;

typedef struct {
    uint32_t kind, inputs, outputs; /* columns */
    uint32_t size;                  /* records: this one and those inside it */
    uint32_t name;                  /* of an activation or a scale function */
    uint32_t flags;
    uint32_t trunk, sig, mu, body; /* records of the networks inside */
    double parameters[2];
    const uint32_t *passive, *active; /* of a coupling: the columns it reads, and moves */
    const void *arrays[3];            /* affine: loc, scale, 1 / scale; rescale: weight, bias */
    dense_map map, inverse_map, transposed_map;
} layer;

/* The values that a layer stores in the forward pass for the backward pass. */
typedef struct {
    const layer *of; /* NULL where a network begins */
    const void *before, *after, *extra;
} trace;

struct kernels;

struct rnvp_flow {
    uint32_t dim, context_dim;
    rnvp_dtype_name dtype;
    int with_gradient;
    double log_prob_constant;              /* all constant log-determinants, less d/2 log 2 pi */
    const uint32_t *x_columns, *z_columns; /* column i of the state is x[x_columns[i]], z[...] */
    const layer *const *steps;             /* couplings, linears and affines */
    uint32_t step_count;
    const struct kernels *kernels;
    size_t columns; /* the most that is alive at once, in columns of a block */
    size_t traces;
};

/* One instance of the vector code. */
struct kernels {
    const char *target;
    size_t rows;                                                       /* in a block */
    size_t (*packed)(uint32_t inputs, uint32_t outputs, int *by_rows); /* bytes of weights */
    /* weights: (outputs, inputs), or with `transposed` (inputs, outputs). */
    void (*pack)(const void *weights, int transposed, const dense_map *map, void *to);
    void (*forward)(const rnvp_flow *, void *space, size_t n, const void *x, const void *context,
                    void *log_prob, void *z);
    void (*inverse)(const rnvp_flow *, void *space, size_t n, const void *z, const void *context,
                    void *x, void *log_prob);
    void (*sample)(const rnvp_flow *, void *space, uint64_t seed, uint64_t start, size_t n,
                   double temperature, const void *context, void *x, void *log_prob);
    void (*gradient)(const rnvp_flow *, void *space, size_t n, const void *x, const void *context,
                     void *log_prob, void *by_x, void *by_context);
};

#endif
