/* Everything a flow is made of, forward, inverse and backward, for one instance; see rnvp_vector.h.
 *
 * A block of rows goes through the whole flow before the next: its activations stay in the nearest
 * cache. A matrix of activations lies column by column, in one of two arrangements:
 *
 *     many rows   the lanes of a vector are rows. A column is `rows` vectors (1 ... MOST_ROWS).
 *     one row     the lanes of a vector are columns. A column is one number, and the last vector
 *                 is filled up with lanes whose values must not be used.
 *
 * Code that works number by number is the same for both; code that sums over columns (dense maps,
 * row_sum) exists in both forms.
 */

#undef MOST_ROWS
#define MOST_ROWS (RNVP_BLOCK * RNVP_GROUPS)

typedef struct {
    const rnvp_flow *flow;
    int rows;    /* vectors in a column; 0 for one row */
    int keep;    /* every activation stays in memory, for the way back */
    REAL *space; /* free from here on */
    trace *trace;
    const REAL *context; /* arranged as activations are */
    REAL *by_context;    /* the gradient that is gathered for it */
} run;

/* Numbers from one column to the next. */
static inline size_t stride(const run *r) { return r->rows ? (size_t)r->rows * LANES : 1; }

/* Vectors in a matrix of so many columns. */
static inline size_t vectors(const run *r, size_t columns) {
    return r->rows ? columns * (size_t)r->rows : (columns + LANES - 1) / LANES;
}

static inline REAL *take(run *r, size_t columns) {
    REAL *taken = r->space;
    r->space += vectors(r, columns) * LANES;
    return taken;
}

static inline void copy(const run *r, const REAL *from, REAL *to, size_t columns) {
    memcpy(to, from, vectors(r, columns) * sizeof(vec));
}

/* Vector v of a matrix whose column c is `of[c]` in every row. */
static inline vec of_column(const run *r, const REAL *of, size_t v) {
    return r->rows ? splat(of[v / (size_t)r->rows]) : load(of + v * LANES);
}

/* ---- Sums over the columns of each row ---- */

/* The sum of a vector's lanes: halves are added until 16 bytes are left. */
static inline REAL total(vec a) {
    typedef REAL bytes16 __attribute__((vector_size(16)));
#if RNVP_BYTES >= 32
    typedef REAL bytes32 __attribute__((vector_size(32)));
#if RNVP_BYTES == 64
    bytes32 low, high;
    memcpy(&low, &a, 32), memcpy(&high, (const char *)&a + 32, 32);
    low += high;
#else
    bytes32 low = (bytes32)a;
#endif
    bytes16 rest, other;
    memcpy(&rest, &low, 16), memcpy(&other, (const char *)&low + 16, 16);
    rest += other;
#else
    bytes16 rest = (bytes16)a;
#endif
#if RNVP_BITS == 32
    return (rest[0] + rest[2]) + (rest[1] + rest[3]);
#else
    return rest[0] + rest[1];
#endif
}

/* The last vector of a row of so many columns, with zeros in the lanes that fill it up. */
static inline vec last_vector(const REAL *of_row, size_t columns) {
    REAL lanes[LANES] = {0};
    for (size_t whole = columns - columns % LANES, i = whole; i < columns; i++)
        lanes[i - whole] = of_row[i];
    return load(lanes);
}

/* sum[k]: the rows of vector k; for one row, its sum in every lane. */
static void row_sum(const run *r, const REAL *a, size_t columns, vec *sum) {
    if (!r->rows) {
        vec lanes = columns % LANES ? last_vector(a, columns) : (vec){0};
        for (size_t v = 0; v < columns / LANES; v++) lanes += load(a + v * LANES);
        sum[0] = splat(total(lanes));
        return;
    }
    for (int k = 0; k < r->rows; k++) sum[k] = (vec){0};
    for (size_t c = 0; c < columns; c++)
        for (int k = 0; k < r->rows; k++)
            sum[k] += load(a + (c * (size_t)r->rows + (size_t)k) * LANES);
}

/* Vector v of a matrix takes part in the sum of these rows. */
static inline size_t row_of(const run *r, size_t v) { return r->rows ? v % (size_t)r->rows : 0; }

/* ---- Dense maps ---- */

#undef PANEL
#define PANEL (RNVP_PANEL * LANES)

/* Whether dot products (rows of weights) beat panels for one row of x. */
static int few_outputs(uint32_t inputs, uint32_t outputs) {
    size_t panels = (size_t)inputs * ((outputs + LANES - 1) / LANES);
    size_t dots = outputs * ((inputs + LANES - 1) / LANES + 6); /* 6: to add a vector's lanes up */
    return dots < panels;
}

static size_t packed_size(uint32_t inputs, uint32_t outputs, int *by_rows) {
    *by_rows = few_outputs(inputs, outputs);
    size_t padded = ((*by_rows ? inputs : outputs) + LANES - 1) / LANES * LANES;
    return padded * (*by_rows ? outputs : inputs) * sizeof(REAL);
}

static void pack_weights(const void *weights, int transposed, const dense_map *map, void *to) {
    const REAL *from = weights;
    REAL *packed_weights = to;
    size_t inputs = map->inputs, outputs = map->outputs;
    size_t by_output = transposed ? 1 : inputs, by_input = transposed ? outputs : 1;
    if (map->by_rows) {
        size_t padded = (inputs + LANES - 1) / LANES * LANES;
        for (size_t o = 0; o < outputs; o++)
            for (size_t i = 0; i < padded; i++)
                *packed_weights++ = i < inputs ? from[o * by_output + i * by_input] : 0;
        return;
    }
    for (size_t panel = 0; panel < outputs; panel += PANEL) {
        size_t rest = (outputs - panel + LANES - 1) / LANES * LANES,
               width = rest < PANEL ? rest : PANEL;
        for (size_t i = 0; i < inputs; i++)
            for (size_t o = panel; o < panel + width; o++)
                *packed_weights++ = o < outputs ? from[o * by_output + i * by_input] : 0;
    }
}

/* `width` vectors of outputs for one row. Each is the sum of `ways` sums, which take turns: enough
 * of them hide the latency of an addition. */
static inline __attribute__((always_inline)) void panel_of_row(const REAL *w, const REAL *bias,
                                                               const REAL *x, size_t inputs,
                                                               REAL *y, int relu, const int width,
                                                               const int ways) {
    vec sum[4][RNVP_PANEL];
    RNVP_UNROLL
    for (int k = 0; k < ways; k++) {
        RNVP_UNROLL
        for (int j = 0; j < width; j++) sum[k][j] = k ? (vec){0} : load(bias + j * LANES);
    }
    size_t i = 0, step = (size_t)ways;
    for (; i + step <= inputs; i += step) {
        RNVP_UNROLL
        for (int k = 0; k < ways; k++, w += width * LANES) {
            vec input = splat(x[i + (size_t)k]);
            RNVP_UNROLL
            for (int j = 0; j < width; j++) sum[k][j] = fma_(input, load(w + j * LANES), sum[k][j]);
        }
    }
    for (; i < inputs; i++, w += width * LANES) {
        vec input = splat(x[i]);
        RNVP_UNROLL
        for (int j = 0; j < width; j++) sum[0][j] = fma_(input, load(w + j * LANES), sum[0][j]);
    }
    RNVP_UNROLL
    for (int j = 0; j < width; j++) {
        vec all = sum[0][j];
        RNVP_UNROLL
        for (int k = 1; k < ways; k++) all += sum[k][j];
        store(y + j * LANES, relu ? at_least(all, 0) : all);
    }
}

static void dense_row(const dense_map *map, const REAL *x, REAL *y, int relu) {
    const REAL *w = map->weights, *bias = map->bias;
    size_t inputs = map->inputs, outputs = map->outputs;
    if (map->by_rows) {
        size_t whole = inputs / LANES;
        vec rest = inputs % LANES ? last_vector(x, inputs) : (vec){0};
        store(y + (outputs - 1) / LANES * LANES, (vec){0});
        for (size_t o = 0; o < outputs; o++) {
            vec sum = {0};
            for (size_t v = 0; v < whole; v++, w += LANES)
                sum = fma_(load(w), load(x + v * LANES), sum);
            if (inputs % LANES) sum = fma_(load(w), rest, sum), w += LANES;
            REAL value = total(sum) + bias[o];
            y[o] = relu && value < 0 ? 0 : value;
        }
        return;
    }
    for (size_t o = 0; o < outputs; o += PANEL) {
        size_t width = (outputs - o + LANES - 1) / LANES;
        if (width > RNVP_PANEL) width = RNVP_PANEL;
        switch (width) {
        case 1: panel_of_row(w, bias + o, x, inputs, y + o, relu, 1, 4); break;
        case 2: panel_of_row(w, bias + o, x, inputs, y + o, relu, 2, 4); break;
        case 3: panel_of_row(w, bias + o, x, inputs, y + o, relu, 3, 2); break;
        default: panel_of_row(w, bias + o, x, inputs, y + o, relu, 4, 2); break;
        }
        w += width * LANES * inputs;
    }
}

/* `columns` outputs for `rows` vectors of rows: all sums stay in registers. A column of x and of y
 * has `of_column` numbers. */
static inline __attribute__((always_inline)) void
tile(const REAL *w, size_t by_input, size_t by_output, const REAL *bias, const REAL *x,
     size_t inputs, REAL *y, size_t of_column, int relu, const int columns, const int rows) {
    vec sum[RNVP_COLUMNS][RNVP_BLOCK];
    RNVP_UNROLL
    for (int c = 0; c < columns; c++) RNVP_UNROLL
    for (int k = 0; k < rows; k++) sum[c][k] = splat(bias[c]);
    for (size_t i = 0; i < inputs; i++, w += by_input, x += of_column) {
        vec of_rows[RNVP_BLOCK];
        RNVP_UNROLL
        for (int k = 0; k < rows; k++) of_rows[k] = load(x + k * LANES);
        RNVP_UNROLL
        for (int c = 0; c < columns; c++) {
            vec weight = splat(w[(size_t)c * by_output]);
            RNVP_UNROLL
            for (int k = 0; k < rows; k++) sum[c][k] = fma_(weight, of_rows[k], sum[c][k]);
        }
    }
    RNVP_UNROLL
    for (int c = 0; c < columns; c++) RNVP_UNROLL
    for (int k = 0; k < rows; k++)
        store(y + (size_t)c * of_column + k * LANES, relu ? at_least(sum[c][k], 0) : sum[c][k]);
}

/* The same `columns` outputs for all rows of a block: their weights are read once from afar. */
static inline __attribute__((always_inline)) void tiles(const REAL *w, size_t by_input,
                                                        size_t by_output, const REAL *bias,
                                                        const REAL *x, size_t inputs, REAL *y,
                                                        int rows, int relu, const int columns) {
    size_t of_column = (size_t)rows * LANES;
    for (; rows >= RNVP_BLOCK; rows -= RNVP_BLOCK, x += RNVP_BLOCK * LANES, y += RNVP_BLOCK * LANES)
        tile(w, by_input, by_output, bias, x, inputs, y, of_column, relu, columns, RNVP_BLOCK);
    if (rows == 2)
        tile(w, by_input, by_output, bias, x, inputs, y, of_column, relu, columns, 2);
    else if (rows == 1)
        tile(w, by_input, by_output, bias, x, inputs, y, of_column, relu, columns, 1);
}

static void dense_rows(const dense_map *map, const REAL *x, REAL *y, int rows, int relu) {
    const REAL *w = map->weights, *bias = map->bias;
    size_t inputs = map->inputs, outputs = map->outputs;
    size_t padded = (inputs + LANES - 1) / LANES * LANES;
    for (size_t o = 0; o < outputs;) {
        size_t panel = o / PANEL * PANEL, rest = (outputs - panel + LANES - 1) / LANES * LANES;
        size_t by_input = map->by_rows ? 1 : rest < PANEL ? rest : PANEL;
        size_t by_output = map->by_rows ? padded : 1;
        const REAL *at = map->by_rows ? w + o * padded : w + panel * inputs + (o - panel);
        REAL *to = y + o * (size_t)rows * LANES;
        if (o + RNVP_COLUMNS <= outputs) {
            tiles(at, by_input, by_output, bias + o, x, inputs, to, rows, relu, RNVP_COLUMNS);
            o += RNVP_COLUMNS;
        } else {
            tiles(at, by_input, by_output, bias + o, x, inputs, to, rows, relu, 1);
            o += 1;
        }
    }
}

/* y = W x + b, and with `relu` max(y, 0). */
static void dense(const run *r, const dense_map *map, const REAL *x, REAL *y, int relu) {
    if (r->rows)
        dense_rows(map, x, y, r->rows, relu);
    else
        dense_row(map, x, y, relu);
}

/* ---- Activations ---- */

#undef EACH
#define EACH(expression)                                                                           \
    for (size_t v = 0; v < count; v++) {                                                           \
        vec h = load(from + v * LANES);                                                            \
        store(to + v * LANES, expression);                                                         \
    }                                                                                              \
    break

static inline vec relu_(vec h) { return at_least(h, 0); }

static inline vec elu_(vec h) { return choose(h < 0, expm1_(at_most(h, 0)), (vec){0}); }

static inline vec unit_clip(vec h) {
    return at_least(at_most(h * (REAL)(1.0 / 6) + (REAL)0.5, 1), 0);
}

static const REAL selu_scale = (REAL)1.0507009873554805, selu_alpha = (REAL)1.6732632423543772;
static const REAL gelu_inner = (REAL)0.7978845608028654, gelu_cubic = (REAL)0.044715;
static const REAL root_half = (REAL)0.7071067811865476;

static inline vec gelu_argument(vec h) { return (h + h * h * h * gelu_cubic) * gelu_inner; }

/* to = a(from), number by number; in place if they are the same. */
static void activate(const layer *l, const REAL *from, REAL *to, size_t count) {
    REAL a = (REAL)l->parameters[0];
    switch (l->name) {
    case IDENTITY: EACH(h);
    case RELU: EACH(relu_(h));
    case LEAKY_RELU: EACH(relu_(h) - relu_(-h) * a);
    case TANH: EACH(tanh_(h));
    case SIGMOID: EACH(sigmoid_(h));
    case SILU: EACH(h * sigmoid_(h));
    case ELU: EACH(relu_(h) + elu_(h) * a);
    case SELU: EACH((relu_(h) + elu_(h) * selu_alpha) * selu_scale);
    case SOFTPLUS: EACH(softplus_(h));
    case GELU_TANH: EACH(h * (REAL)0.5 * (tanh_(gelu_argument(h)) + 1));
    case GELU: EACH(h * (REAL)0.5 * (erf_(h * root_half) + 1));
    case SIN: EACH(sin_(h));
    case EXP: EACH(exp_(h));
    case MULTIPLY: EACH(h * a);
    case CLAMP_EXP: EACH(exp_(at_most(h, 0)));
    case SOFTSIGN: EACH(h / (abs_(h) + 1));
    case LOG_SIGMOID: EACH(-softplus_(-h));
    case MISH: EACH(h * tanh_(softplus_(h)));
    case HARD_TANH: EACH(at_least(at_most(h, a), -a));
    case RELU6: EACH(at_least(at_most(h, 6), 0));
    case HARD_SIGMOID: EACH(unit_clip(h));
    case HARD_SWISH: EACH(h * unit_clip(h));
    default: break;
    }
}

#undef EACH_BACK
#define EACH_BACK(derivative)                                                                      \
    for (size_t v = 0; v < count; v++) {                                                           \
        vec h = load(before + v * LANES), y = load(after + v * LANES);                             \
        (void)h, (void)y;                                                                          \
        store(g + v * LANES, load(g + v * LANES) * (derivative));                                  \
    }                                                                                              \
    break

static inline vec where(ivec mask, vec a) { return choose(mask, a, (vec){0}); }

static inline vec gelu_tanh_derivative(vec h) {
    vec t = tanh_(gelu_argument(h)), inner = (h * h * (3 * gelu_cubic) + 1) * gelu_inner;
    return (t + 1) * (REAL)0.5 + h * (1 - t * t) * inner * (REAL)0.5;
}

static inline vec gelu_derivative(vec h) {
    vec density = exp_(h * h * (REAL)-0.5) * (REAL)0.3989422804014327;
    return (erf_(h * root_half) + 1) * (REAL)0.5 + h * density;
}

static inline vec mish_derivative(vec h) {
    vec t = tanh_(softplus_(h));
    return t + h * (1 - t * t) * sigmoid_(h);
}

static inline vec square(vec a) { return a * a; }

/* g *= a'(before), where after = a(before). */
static void activate_back(const layer *l, const REAL *before, const REAL *after, REAL *g,
                          size_t count) {
    REAL a = (REAL)l->parameters[0];
    const vec one = splat(1);
    switch (l->name) {
    case RELU: EACH_BACK(where(y > 0, one));
    case LEAKY_RELU: EACH_BACK(choose(h > 0, one, splat(a)));
    case TANH: EACH_BACK(1 - y * y);
    case SIGMOID: EACH_BACK(y * (1 - y));
    case SILU: EACH_BACK(sigmoid_(h) + y * (1 - sigmoid_(h)));
    case ELU: EACH_BACK(choose(h > 0, one, y + a));
    case SELU: EACH_BACK(choose(h > 0, splat(selu_scale), y + selu_scale * selu_alpha));
    case SOFTPLUS: EACH_BACK(sigmoid_(h));
    case GELU_TANH: EACH_BACK(gelu_tanh_derivative(h));
    case GELU: EACH_BACK(gelu_derivative(h));
    case SIN: EACH_BACK(cos_(h));
    case EXP: EACH_BACK(y);
    case MULTIPLY: EACH_BACK(splat(a));
    case CLAMP_EXP: EACH_BACK(where(h < 0, y));
    case SOFTSIGN: EACH_BACK(1 / square(abs_(h) + 1));
    case LOG_SIGMOID: EACH_BACK(sigmoid_(-h));
    case MISH: EACH_BACK(mish_derivative(h));
    case HARD_TANH: EACH_BACK(where(abs_(h) < splat(a), one));
    case RELU6: EACH_BACK(where((h > 0) & (h < 6), one));
    case HARD_SIGMOID: EACH_BACK(where(abs_(h) < 3, splat((REAL)(1.0 / 6))));
    case HARD_SWISH: EACH_BACK(choose(h < 3, where(h > -3, h * (REAL)(1.0 / 3) + (REAL)0.5), one));
    default: break;
    }
}

/* ---- Scale functions: from a network's output u to the log-scale ---- */

static void scale_function(const layer *l, const REAL *from, REAL *to, size_t count) {
    REAL a = (REAL)l->parameters[0], b = (REAL)l->parameters[1];
    switch (l->name) {
    case SCALE_EXP: EACH(h);
    case SCALE_TANH: EACH(tanh_(h) * a);
    case SCALE_ATAN: EACH(atan_(h) * a);
    case SCALE_SOFT_CLIP: EACH(h / (abs_(h) * a + 1));
    case SCALE_LOG_SIGMOID: EACH(softplus_(-h) * -a);
    case SCALE_LOG_SIGMOID_PLUS: EACH(log_(sigmoid_(h) + a));
    case SCALE_LOG_SOFTPLUS: EACH(log_(at_most(softplus_(h) + a, b)));
    case SCALE_CLIP: EACH(at_least(at_most(h, b), a));
    default: break;
    }
}

/* g *= the derivative at u. */
static void scale_function_back(const layer *l, const REAL *before, REAL *g, size_t count) {
    REAL a = (REAL)l->parameters[0], b = (REAL)l->parameters[1];
    const REAL *after = before;
    switch (l->name) {
    case SCALE_TANH: EACH_BACK((1 - square(tanh_(h))) * a);
    case SCALE_ATAN: EACH_BACK(splat(a) / (h * h + 1));
    case SCALE_SOFT_CLIP: EACH_BACK(1 / square(abs_(h) * a + 1));
    case SCALE_LOG_SIGMOID: EACH_BACK(sigmoid_(-h) * a);
    case SCALE_LOG_SIGMOID_PLUS: EACH_BACK(sigmoid_(h) * sigmoid_(-h) / (sigmoid_(h) + a));
    case SCALE_LOG_SOFTPLUS:
        EACH_BACK(where(softplus_(h) + a < splat(b), sigmoid_(h) / (softplus_(h) + a)));
    case SCALE_CLIP: EACH_BACK(where((h > splat(a)) & (h < splat(b)), splat(1)));
    default: break;
    }
}

/* a -= its mean over the columns of each row. */
static void centre(const run *r, REAL *a, size_t columns) {
    vec mean[MOST_ROWS];
    row_sum(r, a, columns, mean);
    for (size_t v = 0; v < vectors(r, columns); v++)
        store(a + v * LANES, load(a + v * LANES) - mean[row_of(r, v)] / splat((REAL)columns));
}

/* ---- Networks ---- */

/* to = (from - mean) / sqrt(variance + eps) over each row; the divisors are left in `deviation`. */
static void norm(run *r, const layer *l, const REAL *from, REAL *to, vec *deviation) {
    size_t width = l->inputs, count = vectors(r, width);
    REAL eps = (REAL)l->parameters[0], divisor = (REAL)((double)width - l->parameters[1]);
    REAL *free_again = r->space, *squares = take(r, width);
    if (to != from) copy(r, from, to, width);
    centre(r, to, width);
    for (size_t v = 0; v < count; v++) store(squares + v * LANES, square(load(to + v * LANES)));
    row_sum(r, squares, width, deviation);
    for (int k = 0; k < (r->rows ? r->rows : 1); k++)
        deviation[k] = sqrt_(deviation[k] / splat(divisor) + eps);
    for (size_t v = 0; v < count; v++)
        store(to + v * LANES, load(to + v * LANES) / deviation[row_of(r, v)]);
    r->space = free_again;
}

/* With y the outcome: g = (g - mean(g) - y sum(g y) / divisor) / deviation. */
static void norm_back(run *r, const layer *l, const REAL *y, const REAL *deviation, REAL *g) {
    size_t width = l->inputs, count = vectors(r, width);
    REAL divisor = (REAL)((double)width - l->parameters[1]);
    REAL *free_again = r->space, *products = take(r, width);
    vec sums[MOST_ROWS];
    for (size_t v = 0; v < count; v++)
        store(products + v * LANES, load(g + v * LANES) * load(y + v * LANES));
    row_sum(r, products, width, sums);
    centre(r, g, width);
    for (size_t v = 0; v < count; v++) {
        size_t k = row_of(r, v);
        vec along = load(y + v * LANES) * (sums[k] / splat(divisor));
        store(g + v * LANES, (load(g + v * LANES) - along) / load(deviation + k * LANES));
    }
    r->space = free_again;
}

static inline void leave(run *r, const layer *of, const void *before, const void *after,
                         const void *extra) {
    if (r->keep) *r->trace++ = (trace){of, before, after, extra};
}

static inline int is_relu(const layer *l) { return l->kind == ACTIVATION && l->name == RELU; }

/* The network of `count` records at h, which stays as it is. Unless everything is kept, activations
 * alternate between two matrices. */
static const REAL *network(run *r, const layer *l, uint32_t count, const REAL *h) {
    const layer *end = l + count;
    if (!count) return h;
    leave(r, NULL, NULL, NULL, NULL);
    REAL *pair[2] = {NULL, NULL};
    int next = 0;
    if (!r->keep) {
        uint32_t widest = 0;
        for (const layer *each = l; each < end; each += each->size)
            if (each->outputs > widest) widest = each->outputs;
        pair[0] = take(r, widest), pair[1] = take(r, widest);
    }
    for (; l < end; l += l->size) {
        REAL *to = r->keep ? take(r, l->outputs) : pair[next];
        size_t all = vectors(r, l->outputs);
        next = !next;
        switch (l->kind) {
        case DENSE: {
            const layer *after = l + 1;
            int fused = after < end && is_relu(after);
            dense(r, &l->map, h, to, fused);
            leave(r, l, NULL, NULL, NULL);
            if (fused) leave(r, l = after, to, to, NULL);
            break;
        }
        case ACTIVATION:
            activate(l, h, to, all);
            leave(r, l, h, to, NULL);
            break;
        case NORM: {
            vec deviation[MOST_ROWS];
            REAL *kept = NULL;
            norm(r, l, h, to, deviation);
            if (r->keep) {
                kept = take(r, r->rows ? 1 : LANES);
                memcpy(kept, deviation, (size_t)(r->rows ? r->rows : 1) * sizeof(vec));
            }
            leave(r, l, NULL, to, kept);
            break;
        }
        case RESCALE:
            for (size_t v = 0; v < all; v++)
                store(to + v * LANES, fma_(load(h + v * LANES), of_column(r, l->arrays[0], v),
                                           of_column(r, l->arrays[1], v)));
            leave(r, l, NULL, NULL, NULL);
            break;
        case RESIDUAL: {
            REAL *free_again = r->space, *gate = NULL;
            const REAL *change = network(r, l + 1, l->body, h);
            if (l->flags) {
                gate = take(r, l->outputs);
                dense(r, &l[1 + l->body].map, r->context, gate, 0);
                for (size_t v = 0; v < all; v++)
                    store(gate + v * LANES, sigmoid_(load(gate + v * LANES)));
            }
            for (size_t v = 0; v < all; v++) {
                vec by = load(change + v * LANES);
                if (gate) by *= load(gate + v * LANES);
                store(to + v * LANES, load(h + v * LANES) + by);
            }
            if (r->keep)
                leave(r, l, NULL, change, gate);
            else
                r->space = free_again;
            break;
        }
        default: break;
        }
        h = to;
    }
    return h;
}

/* a += b */
static inline void add(const run *r, REAL *a, const REAL *b, size_t columns) {
    for (size_t v = 0; v < vectors(r, columns); v++)
        store(a + v * LANES, load(a + v * LANES) + load(b + v * LANES));
}

/* From the gradient by a network's output, which is overwritten, to the gradient by its input: the
 * traces that the network stored are processed in reverse order. */
static REAL *network_back(run *r, uint32_t count, REAL *g) {
    if (!count) return g;
    for (;;) {
        trace t = *--r->trace;
        const layer *l = t.of;
        if (!l) return g;
        size_t all = vectors(r, l->outputs);
        switch (l->kind) {
        case DENSE: {
            REAL *by_input = take(r, l->inputs);
            dense(r, &l->transposed_map, g, by_input, 0);
            g = by_input;
            break;
        }
        case ACTIVATION: activate_back(l, t.before, t.after, g, all); break;
        case NORM: norm_back(r, l, t.after, t.extra, g); break;
        case RESCALE:
            for (size_t v = 0; v < all; v++)
                store(g + v * LANES, load(g + v * LANES) * of_column(r, l->arrays[0], v));
            break;
        case RESIDUAL: {
            REAL *by_change = take(r, l->outputs);
            copy(r, g, by_change, l->outputs);
            if (t.extra) {
                const REAL *gate = t.extra, *change = t.after;
                const layer *gate_layer = &l[1 + l->body];
                REAL *by_gate = take(r, l->outputs), *by_context = take(r, gate_layer->inputs);
                for (size_t v = 0; v < all; v++) {
                    vec s = load(gate + v * LANES), upstream = load(g + v * LANES);
                    store(by_change + v * LANES, upstream * s);
                    store(by_gate + v * LANES, upstream * load(change + v * LANES) * s * (1 - s));
                }
                dense(r, &gate_layer->transposed_map, by_gate, by_context, 0);
                add(r, r->by_context, by_context, gate_layer->inputs);
            }
            add(r, g, network_back(r, l->body, by_change), l->outputs);
            break;
        }
        default: break;
        }
    }
}

/* ---- Steps of the flow ---- */

/* One column of a matrix. */
static inline void move(const run *r, const REAL *from, REAL *to) {
    if (!r->rows)
        *to = *from;
    else
        for (int k = 0; k < r->rows; k++) store(to + k * LANES, load(from + k * LANES));
}

static inline void gather(const run *r, const REAL *state, const uint32_t *columns, size_t count,
                          REAL *to) {
    size_t s = stride(r);
    for (size_t c = 0; c < count; c++) move(r, state + columns[c] * s, to + c * s);
}

static inline void scatter(const run *r, const REAL *from, const uint32_t *columns, size_t count,
                           REAL *state) {
    size_t s = stride(r);
    for (size_t c = 0; c < count; c++) move(r, from + c * s, state + columns[c] * s);
}

/* What a coupling stores for the gradient: `scaled`, the number that e^s multiplied, times e^s; the
 * factors e^s; and u. One way it is b e^s + mu, the other (b - mu) e^s. */
static void coupling(run *r, const layer *l, int inverse, REAL *state, vec *log_det) {
    size_t moved = l->outputs, all = vectors(r, moved),
           context = l->flags & TAKES_CONTEXT ? r->flow->context_dim : 0;
    int multiply_first = !(l->flags & INVERTED) == !inverse;
    REAL *free_again = r->space;
    REAL *seen = take(r, l->inputs + context), *b = take(r, moved);
    gather(r, state, l->passive, l->inputs, seen);
    for (size_t c = 0; c < context; c++)
        move(r, r->context + c * stride(r), seen + (l->inputs + c) * stride(r));
    gather(r, state, l->active, moved, b);

    const layer *first = l + 1;
    const REAL *h = network(r, first, l->trunk, seen);
    const REAL *u = l->sig ? network(r, first + l->trunk, l->sig, h) : NULL;
    const REAL *mu = l->mu ? network(r, first + l->trunk + l->sig, l->mu, h) : NULL;

    REAL *s = NULL, *scaled = NULL;
    if (u) {
        s = take(r, moved);
        scale_function(l, u, s, all);
        if (l->flags & CENTRED) centre(r, s, moved);
        if (!multiply_first)
            for (size_t v = 0; v < all; v++) store(s + v * LANES, -load(s + v * LANES));
        vec sum[MOST_ROWS];
        row_sum(r, s, moved, sum);
        for (int k = 0; k < (r->rows ? r->rows : 1); k++) log_det[k] += sum[k];
    }
    if (r->keep) scaled = take(r, moved);
    for (size_t v = 0; v < all; v++) {
        vec to = load(b + v * LANES);
        if (mu && !multiply_first) to -= load(mu + v * LANES);
        if (s) {
            vec factor = exp_(load(s + v * LANES));
            to *= factor;
            if (r->keep) store(s + v * LANES, factor);
        }
        if (r->keep) store(scaled + v * LANES, to);
        if (mu && multiply_first) to += load(mu + v * LANES);
        store(b + v * LANES, to);
    }
    scatter(r, b, l->active, moved, state);
    if (r->keep)
        leave(r, l, u, scaled, s);
    else
        r->space = free_again;
}

/* by_state: from the gradient after the coupling to the one before it. */
static void coupling_back(run *r, const layer *l, REAL *by_state) {
    trace t = *--r->trace;
    const REAL *u = t.before, *scaled = t.after, *factor = t.extra;
    size_t moved = l->outputs, all = vectors(r, moved), inputs = l->inputs;
    size_t context = l->flags & TAKES_CONTEXT ? r->flow->context_dim : 0;
    int multiply_first = !(l->flags & INVERTED);
    REAL *free_again = r->space;
    REAL *g = take(r, moved), *by_u = take(r, moved), *by_mu = take(r, moved);
    gather(r, by_state, l->active, moved, g);
    for (size_t v = 0; v < all; v++) {
        vec upstream = load(g + v * LANES), by_s = upstream * load(scaled + v * LANES) + 1;
        vec by_b = factor ? upstream * load(factor + v * LANES) : upstream;
        store(by_u + v * LANES, multiply_first ? by_s : -by_s);
        store(by_mu + v * LANES, multiply_first ? upstream : -by_b);
        store(g + v * LANES, by_b);
    }
    scatter(r, g, l->active, moved, by_state);

    REAL *by_h = NULL;
    if (l->mu) by_h = network_back(r, l->mu, by_mu);
    if (l->sig) {
        if (l->flags & CENTRED) centre(r, by_u, moved);
        scale_function_back(l, u, by_u, all);
        REAL *other = network_back(r, l->sig, by_u);
        if (by_h)
            add(r, by_h, other, l->trunk ? l[1 + l->trunk].inputs : inputs + context);
        else
            by_h = other;
    }
    if (by_h) {
        by_h = network_back(r, l->trunk, by_h);
        size_t s = stride(r);
        for (size_t c = 0; c < inputs; c++)
            for (size_t i = 0; i < s; i++) by_state[l->passive[c] * s + i] += by_h[c * s + i];
        for (size_t i = 0; i < context * s; i++) r->by_context[i] += by_h[inputs * s + i];
    }
    r->space = free_again;
}

static void affine(const run *r, const layer *l, int inverse, REAL *state) {
    for (size_t v = 0; v < vectors(r, l->outputs); v++) {
        vec a = load(state + v * LANES), loc = of_column(r, l->arrays[0], v);
        store(state + v * LANES, inverse ? a * of_column(r, l->arrays[1], v) + loc
                                         : (a - loc) * of_column(r, l->arrays[2], v));
    }
}

static void affine_back(const run *r, const layer *l, REAL *by_state) {
    for (size_t v = 0; v < vectors(r, l->outputs); v++)
        store(by_state + v * LANES, load(by_state + v * LANES) * of_column(r, l->arrays[2], v));
}

static void linear(run *r, const dense_map *map, REAL *state) {
    REAL *free_again = r->space, *to = take(r, map->outputs);
    dense(r, map, state, to, 0);
    copy(r, to, state, map->outputs);
    r->space = free_again;
}

static void all_steps(run *r, int inverse, REAL *state, vec *log_det) {
    uint32_t count = r->flow->step_count;
    for (uint32_t i = 0; i < count; i++) {
        const layer *l = r->flow->steps[inverse ? count - 1 - i : i];
        if (l->kind == COUPLING)
            coupling(r, l, inverse, state, log_det);
        else if (l->kind == AFFINE)
            affine(r, l, inverse, state);
        else
            linear(r, inverse ? &l->inverse_map : &l->map, state);
    }
}

static void all_steps_back(run *r, REAL *by_state) {
    for (uint32_t i = r->flow->step_count; i--;) {
        const layer *l = r->flow->steps[i];
        if (l->kind == COUPLING)
            coupling_back(r, l, by_state);
        else if (l->kind == AFFINE)
            affine_back(r, l, by_state);
        else
            linear(r, &l->transposed_map, by_state);
    }
}

/* ---- Rows in and out ---- */

/* Column c of the matrix is column order[c] (c itself if NULL) of `count` rows of `width`. */
static void rows_in(const run *r, const REAL *rows, size_t count, size_t width,
                    const uint32_t *order, REAL *to) {
    size_t s = stride(r);
    for (size_t c = 0; c < width; c++) {
        const REAL *from = rows + (order ? order[c] : c);
        for (size_t i = 0; i < s; i++) to[c * s + i] = i < count ? from[i * width] : 0;
    }
}

static void rows_out(const run *r, const REAL *from, size_t count, size_t width,
                     const uint32_t *order, REAL *rows) {
    size_t s = stride(r);
    for (size_t c = 0; c < width; c++) {
        REAL *to = rows + (order ? order[c] : c);
        for (size_t i = 0; i < count; i++) to[i * width] = from[c * s + i];
    }
}

/* log_prob = constant + way * log_det - |z|^2 / 2, where z has been put into squares. */
static void log_prob_out(const run *r, const vec *log_det, const vec *squares, int inverse,
                         size_t count, REAL *log_prob) {
    REAL constant = (REAL)r->flow->log_prob_constant;
    for (int k = 0; k < (r->rows ? r->rows : 1); k++) {
        REAL lanes[LANES];
        vec way = inverse ? -log_det[k] : log_det[k];
        store(lanes, way + constant - squares[k] * (REAL)0.5);
        for (size_t i = 0; i < LANES && (size_t)k * LANES + i < count; i++)
            log_prob[(size_t)k * LANES + i] = lanes[i];
    }
}

static void sum_of_squares(run *r, const REAL *a, size_t columns, vec *sum) {
    REAL *free_again = r->space, *squares = take(r, columns);
    for (size_t v = 0; v < vectors(r, columns); v++)
        store(squares + v * LANES, square(load(a + v * LANES)));
    row_sum(r, squares, columns, sum);
    r->space = free_again;
}

/* The next block of `left` rows: how it is arranged, and how many rows it has. */
static size_t next_block(run *r, const rnvp_flow *flow, void *space, size_t left) {
    size_t most = MOST_ROWS * LANES, count = left < most ? left : most;
    if (count <= RNVP_FEW) count = 1;
    *r = (run){
        .flow = flow, .space = space, .rows = count > 1 ? (int)((count + LANES - 1) / LANES) : 0};
    return count;
}

static void context_in(run *r, const REAL *context, size_t at, size_t count) {
    size_t width = r->flow->context_dim;
    if (!width) return;
    REAL *to = take(r, width);
    rows_in(r, context + at * width, count, width, NULL, to);
    r->context = to;
}

static void forward_rows(const rnvp_flow *flow, void *space, size_t n, const void *x,
                         const void *context, void *log_prob, void *z) {
    size_t dim = flow->dim, count;
    for (size_t at = 0; at < n; at += count) {
        run r;
        vec log_det[MOST_ROWS] = {{0}}, squares[MOST_ROWS];
        count = next_block(&r, flow, space, n - at);
        REAL *state = take(&r, dim);
        rows_in(&r, (const REAL *)x + at * dim, count, dim, flow->x_columns, state);
        context_in(&r, context, at, count);
        all_steps(&r, 0, state, log_det);
        if (log_prob) {
            sum_of_squares(&r, state, dim, squares);
            log_prob_out(&r, log_det, squares, 0, count, (REAL *)log_prob + at);
        }
        if (z) rows_out(&r, state, count, dim, flow->z_columns, (REAL *)z + at * dim);
    }
}

/* From latents in `state`, on. */
static void inverse_block(run *r, REAL *state, size_t at, size_t count, REAL *x, REAL *log_prob) {
    size_t dim = r->flow->dim;
    vec log_det[MOST_ROWS] = {{0}}, squares[MOST_ROWS];
    if (log_prob) sum_of_squares(r, state, dim, squares);
    all_steps(r, 1, state, log_det);
    if (log_prob) log_prob_out(r, log_det, squares, 1, count, log_prob + at);
    if (x) rows_out(r, state, count, dim, r->flow->x_columns, x + at * dim);
}

static void inverse_rows(const rnvp_flow *flow, void *space, size_t n, const void *z,
                         const void *context, void *x, void *log_prob) {
    size_t dim = flow->dim, count;
    for (size_t at = 0; at < n; at += count) {
        run r;
        count = next_block(&r, flow, space, n - at);
        REAL *state = take(&r, dim);
        rows_in(&r, (const REAL *)z + at * dim, count, dim, flow->z_columns, state);
        context_in(&r, context, at, count);
        inverse_block(&r, state, at, count, x, log_prob);
    }
}

/* Latents of rows start ... of the stream; see docs/stream.md. Pair p of a row is (radius, angle),
 * and becomes normals 2p (the cosine) and 2p + 1. */
static void noise(run *r, uint64_t seed, uint64_t start, size_t count, REAL temperature,
                  REAL *state) {
    size_t dim = r->flow->dim, s = stride(r), blocks = (dim + 3) / 4, pairs = 2 * blocks;
    REAL *free_again = r->space, *first = take(r, pairs), *second = take(r, pairs);
    for (size_t i = 0; i < s; i++)
        for (size_t j = 0; j < blocks; j++) {
            uint32_t words[4] = {0};
            if (i < count) rnvp_stream_words(seed, start + i, (uint32_t)j, words);
            for (size_t p = 0; p < 2; p++) {
                first[(2 * j + p) * s + i] = (REAL)rnvp_uniform(words[2 * p]);
                second[(2 * j + p) * s + i] = (REAL)rnvp_uniform(words[2 * p + 1]);
            }
        }
    for (size_t v = 0; v < vectors(r, pairs); v++) {
        vec sine, cosine, radius = sqrt_(log_(load(first + v * LANES)) * -2) * temperature;
        sin_cos_turns(load(second + v * LANES), &sine, &cosine);
        store(first + v * LANES, radius * cosine);
        store(second + v * LANES, radius * sine);
    }
    for (size_t c = 0; c < dim; c++) {
        size_t j = r->flow->z_columns[c];
        move(r, (j % 2 ? second : first) + j / 2 * s, state + c * s);
    }
    r->space = free_again;
}

static void sample_rows(const rnvp_flow *flow, void *space, uint64_t seed, uint64_t start, size_t n,
                        double temperature, const void *context, void *x, void *log_prob) {
    size_t count;
    for (size_t at = 0; at < n; at += count) {
        run r;
        count = next_block(&r, flow, space, n - at);
        REAL *state = take(&r, flow->dim);
        noise(&r, seed, start + at, count, (REAL)temperature, state);
        context_in(&r, context, at, count);
        inverse_block(&r, state, at, count, x, log_prob);
    }
}

static void gradient_rows(const rnvp_flow *flow, void *space, size_t n, const void *x,
                          const void *context, void *log_prob, void *by_x, void *by_context) {
    size_t dim = flow->dim, conditions = flow->context_dim, count;
    for (size_t at = 0; at < n; at += count) {
        run r;
        vec log_det[MOST_ROWS] = {{0}}, squares[MOST_ROWS];
        count = next_block(&r, flow, (char *)space + flow->traces * sizeof(trace), n - at);
        r.keep = 1, r.trace = space;
        REAL *state = take(&r, dim);
        rows_in(&r, (const REAL *)x + at * dim, count, dim, flow->x_columns, state);
        context_in(&r, context, at, count);
        if (conditions) {
            r.by_context = take(&r, conditions);
            memset(r.by_context, 0, vectors(&r, conditions) * sizeof(vec));
        }
        all_steps(&r, 0, state, log_det);
        if (log_prob) {
            sum_of_squares(&r, state, dim, squares);
            log_prob_out(&r, log_det, squares, 0, count, (REAL *)log_prob + at);
        }
        for (size_t v = 0; v < vectors(&r, dim); v++)
            store(state + v * LANES, -load(state + v * LANES));
        all_steps_back(&r, state);
        if (by_x) rows_out(&r, state, count, dim, flow->x_columns, (REAL *)by_x + at * dim);
        if (by_context && conditions)
            rows_out(&r, r.by_context, count, conditions, NULL,
                     (REAL *)by_context + at * conditions);
    }
}

static const struct kernels kernel_table = {RNVP_STRING(RNVP_TARGET),
                                            MOST_ROWS *LANES,
                                            packed_size,
                                            pack_weights,
                                            forward_rows,
                                            inverse_rows,
                                            sample_rows,
                                            gradient_rows};

#ifdef RNVP_ELEMENTARY
/* For tests/native/elementary.c: 16 values of one of the functions of rnvp_vector.h. */
static void elementary(int f, const REAL *from, REAL *to) {
    for (int i = 0; i < 16; i += LANES) {
        vec x = load(from + i), y, unused;
        switch (f) {
        case 0: y = exp_(x); break;
        case 1: y = expm1_(x); break;
        case 2: y = tanh_(x); break;
        case 3: y = sigmoid_(x); break;
        case 4: y = log1p_(x); break;
        case 5: y = log_(x); break;
        case 6: y = softplus_(x); break;
        case 7: y = sin_(x); break;
        case 8: y = cos_(x); break;
        case 9: sin_cos_turns(x, &y, &unused); break;
        case 10: y = atan_(x); break;
        default: y = erf_(x); break;
        }
        store(to + i, y);
    }
}
#endif
