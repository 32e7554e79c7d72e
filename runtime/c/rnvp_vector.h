/* Vectors of one number type on one instruction set, and elementary functions of them.
 *
 * rnvp.c includes this file once for each instance: RNVP_BITS is 32 or 64, RNVP_BYTES the width of
 * a vector in bytes, RNVP_TARGET a word that makes the instance's names its own, RNVP_FMA(a, b, c)
 * and RNVP_SQRT(a) are the target's instructions where it has them.
 *
 * Errors are given in ULP of the result, measured over all float32 numbers and over samples of the
 * float64 numbers by tests/native/elementary.c; docs/native.md holds the table. NaN gives NaN,
 * infinities give what the mathematical limit is, and no function reads or writes memory.
 */

#undef REAL
#undef INTEGER
#undef UNSIGNED
#undef MANTISSA
#undef BIAS
#undef ROUNDER
#undef TERMS
#if RNVP_BITS == 32
#define REAL float
#define INTEGER int32_t
#define UNSIGNED uint32_t
#define MANTISSA 23
#define BIAS 127
#define ROUNDER 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer, in the lowest bits */
#define TERMS(name) name##_TERMS_F32
#else
#define REAL double
#define INTEGER int64_t
#define UNSIGNED uint64_t
#define MANTISSA 52
#define BIAS 1023
#define ROUNDER 6755399441055744.0 /* 1.5 * 2^52 */
#define TERMS(name) name##_TERMS_F64
#endif

/* The lanes of a vector, and a name for what belongs to this instance. */
#undef LANES
#define LANES (RNVP_BYTES / (RNVP_BITS / 8))

typedef REAL vec __attribute__((vector_size(RNVP_BYTES)));
typedef INTEGER ivec __attribute__((vector_size(RNVP_BYTES)));
typedef UNSIGNED uvec __attribute__((vector_size(RNVP_BYTES)));

/* ---- Basic operations ---- */

static inline vec load(const REAL *from) {
    vec a;
    memcpy(&a, from, sizeof a);
    return a;
}

static inline void store(REAL *to, vec a) { memcpy(to, &a, sizeof a); }

static inline vec splat(REAL x) {
    return x - (vec){0};
} /* x - 0 is x; x + 0 loses the sign of -0 */

/* a where the mask is all ones, b where it is all zeros. */
static inline vec choose(ivec mask, vec a, vec b) {
    return (vec)(((ivec)a & mask) | ((ivec)b & ~mask));
}

static inline vec fma_(vec a, vec b, vec c) { return (vec)RNVP_FMA(a, b, c); }

static inline vec sqrt_(vec a) { return (vec)RNVP_SQRT(a); }

static inline vec at_most(vec a, REAL most) { return choose(a > splat(most), splat(most), a); }

static inline vec at_least(vec a, REAL least) { return choose(a < splat(least), splat(least), a); }

static inline ivec sign_bit(vec a) { return (ivec)a & (ivec)splat((REAL)-0.0); }

static inline vec abs_(vec a) { return (vec)((ivec)a & ~(ivec)splat((REAL)-0.0)); }

static inline vec negated_if(ivec mask, vec a) {
    return (vec)((ivec)a ^ (mask & (ivec)splat((REAL)-0.0)));
}

/* To the nearest integer, for |a| < 2^(MANTISSA - 2); as a number and in the lowest bits of one. */
static inline vec rounded(vec a) { return (a + ROUNDER) - ROUNDER; }

static inline ivec lowest_bits(vec integer) { return (ivec)(integer + ROUNDER); }

/* 2^k for an integer k with -BIAS < k <= BIAS. */
static inline vec power_of_2(vec k) { return (vec)((lowest_bits(k) + BIAS) << MANTISSA); }

static inline __attribute__((always_inline)) vec polynomial(vec t, const REAL *terms, int count) {
    vec sum = splat(terms[count - 1]);
    for (int k = count - 2; k >= 0; k--) sum = fma_(sum, t, splat(terms[k]));
    return sum;
}

static const REAL exp_terms[] = {TERMS(EXP)}, log_terms[] = {TERMS(LOG)},
                  sin_terms[] = {TERMS(SIN)}, cos_terms[] = {TERMS(COS)},
                  atan_terms[] = {TERMS(ATAN)}, erf_terms[] = {TERMS(ERF)},
                  erfc_terms[] = {TERMS(ERFC)};

#undef POLYNOMIAL
#define POLYNOMIAL(t, terms) polynomial((t), (terms), (int)(sizeof(terms) / sizeof *(terms)))

/* ---- Exponential functions ---- */

/* x = k ln 2 + r with |r| <= ln 2 / 2; returns e^r - 1. Cody and Waite's reduction. */
static inline vec reduced_exp(vec x, vec *k) {
#if RNVP_BITS == 32
    const REAL high = 0.693145751953125f, low = 1.428606820309417e-6f;
#else
    const REAL high = 0.6931471804855391383, low = 7.44061711001239671613e-11;
#endif
    *k = rounded(x * (REAL)1.4426950408889634074);
    vec r = fma_(*k, splat(-low), fma_(*k, splat(-high), x));
    return fma_(r * r, POLYNOMIAL(r, exp_terms), r);
}

/* e^x. Subnormal results are rounded, not flushed. */
static inline vec exp_(vec x) {
#if RNVP_BITS == 32
    const REAL least = -104.0f, most = 89.0f;
#else
    const REAL least = -746.0, most = 710.0;
#endif
    vec k, e = reduced_exp(at_least(at_most(x, most), least), &k);
    vec half = rounded(k * (REAL)0.5); /* in two steps: 2^k itself may not be a normal number */
    return ((e + 1) * power_of_2(half)) * power_of_2(k - half);
}

/* e^x - 1 for x <= 0. */
static inline vec expm1_(vec x) {
    const REAL least = RNVP_BITS == 32 ? -20 : -40; /* there, the result rounds to -1 */
    vec k, e = reduced_exp(at_least(x, least), &k);
    vec scale = power_of_2(k);
    return fma_(scale, e, scale - 1);
}

static inline vec tanh_(vec x) {
    vec e = expm1_(abs_(x) * -2);
    return (vec)((ivec)((0 - e) / (e + 2)) | sign_bit(x));
}

/* 1 / (1 + e^-x), never through an exponential that overflows. */
static inline vec sigmoid_(vec x) {
    vec e = exp_(-abs_(x));
    return choose(x < 0, e, splat(1)) / (e + 1);
}

/* ---- Logarithms ---- */

/* log(1 + f) - f for -0.3 <= f <= 1: with s = f / (2 + f), log(1 + f) = log(1 + s) - log(1 - s). */
static inline vec log_tail(vec f) {
    vec half_square = f * f * (REAL)0.5, s = f / (f + 2), z = s * s;
    return fma_(s, fma_(z, POLYNOMIAL(z, log_terms), half_square), -half_square);
}

/* log(1 + f) for 0 <= f <= 1. */
static inline vec log1p_(vec f) { return f + log_tail(f); }

static inline vec log_(vec x) {
#if RNVP_BITS == 32
    const REAL high = 0.693145751953125f, low = 1.428606820309417e-6f, tiny = 0x1p-126f;
    const REAL up = 0x1p25f, up_exponent = 25, infinity = __builtin_inff();
    const INTEGER root_half = 0x3f3504f3;
#else
    const REAL high = 0.6931471804855391383, low = 7.44061711001239671613e-11, tiny = 0x1p-1022;
    const REAL up = 0x1p54, up_exponent = 54, infinity = __builtin_inf();
    const INTEGER root_half = 0x3fe6a09e667f3bcd;
#endif
    const INTEGER one = (INTEGER)BIAS << MANTISSA, fraction = ((INTEGER)1 << MANTISSA) - 1;
    ivec subnormal = x < splat(tiny);
    ivec bits = (ivec)choose(subnormal, x * up, x) + (one - root_half);
    /* The exponent, put into the lowest bits of ROUNDER and so made a number. */
    vec k = (vec)((ivec)((uvec)bits >> MANTISSA) + (ivec)splat(ROUNDER)) - (ROUNDER + BIAS);
    k = k - (vec)((ivec)splat(up_exponent) & subnormal);
    vec f = (vec)((bits & fraction) + root_half) - 1;
    vec result = fma_(k, splat(high), f + fma_(k, splat(low), log_tail(f)));
    result = choose(x < splat(infinity), result, x); /* infinity and NaN */
    result = choose(x == 0, splat(-infinity), result);
    return choose(x < 0, splat(infinity - infinity), result);
}

/* log(1 + e^x). */
static inline vec softplus_(vec x) { return at_least(x, 0) + log1p_(exp_(-abs_(x))); }

/* ---- Circular functions ---- */

/* x = k pi/2 + r with |r| <= pi/4, for |x| < 2^20; beyond, see reduced_angle. */
static inline vec near_angle(vec x, ivec *k) {
#if RNVP_BITS == 32
    /* In float64, where a product of the 25 bits of the first part and k is exact. */
    typedef double wide __attribute__((vector_size(2 * RNVP_BYTES)));
    wide a = __builtin_convertvector(x, wide);
    wide n = (a * 0.63661977236758134308 + 6755399441055744.0) - 6755399441055744.0;
    wide r = (a - n * 1.570796310901641845703) - n * 1.589325477352819669164e-8;
    *k = lowest_bits(__builtin_convertvector(n, vec));
    return __builtin_convertvector(r, vec);
#else
    vec n = rounded(x * 0.63661977236758134308);
    *k = lowest_bits(n);
    vec r = fma_(n, splat(-1.570796326734125614166), x);
    r = fma_(n, splat(-6.077100506303965976596e-11), r);
    return fma_(n, splat(-2.0222662487959507324e-21), r);
#endif
}

static inline vec reduced_angle(vec x, ivec *k) {
    vec r = near_angle(x, k);
    for (int i = 0; i < LANES; i++)
        if (!(x[i] < 1048576 && x[i] > -1048576)) {
            double exact;
            (*k)[i] = rnvp_far_angle((double)x[i], &exact);
            r[i] = (REAL)exact;
        }
    return r;
}

/* sin and cos of r + k pi/2. */
static inline void sin_cos(vec r, ivec k, vec *sine, vec *cosine) {
    vec z = r * r;
    vec s = fma_(z * r, POLYNOMIAL(z, sin_terms), r);
    vec half = z * (REAL)0.5, w = 1 - half;
    vec c = w + fma_(z * z, POLYNOMIAL(z, cos_terms), (1 - w) - half);
    ivec odd = -(k & 1);
    *sine = negated_if(-((k >> 1) & 1), choose(odd, c, s));
    *cosine = negated_if(-(((k + 1) >> 1) & 1), choose(odd, s, c));
}

static inline vec sin_(vec x) {
    ivec k;
    vec r = reduced_angle(x, &k), s, c;
    sin_cos(r, k, &s, &c);
    return s;
}

static inline vec cos_(vec x) {
    ivec k;
    vec r = reduced_angle(x, &k), s, c;
    sin_cos(r, k, &s, &c);
    return c;
}

/* sin and cos of 2 pi u for 0 <= u <= 1: the reduction is exact. */
static inline void sin_cos_turns(vec u, vec *sine, vec *cosine) {
    vec quarters = u * 4, n = rounded(quarters);
    sin_cos((quarters - n) * (REAL)1.57079632679489661923, lowest_bits(n), sine, cosine);
}

static inline vec atan_(vec x) {
#if RNVP_BITS == 32
    const REAL low = -4.37113883e-8f;
#else
    const REAL low = 6.123233995736766e-17; /* of pi / 2 */
#endif
    vec a = abs_(x);
    ivec far = a > splat((REAL)2.4142135623730950488),
         near = a <= splat((REAL)0.4142135623730950488);
    ivec middle = ~(far | near);
    vec top = choose(far, splat(-1), choose(middle, a - 1, a));
    vec t = top / choose(far, a, choose(middle, a + 1, splat(1))), z = t * t;
    vec part = choose(far, splat(1), choose(middle, splat((REAL)0.5), splat(0)));
    vec tail = fma_(z * t, POLYNOMIAL(z, atan_terms), part * low);
    vec result = fma_(part, splat((REAL)1.57079632679489661923), t + tail);
    return (vec)((ivec)result | sign_bit(x));
}

/* ---- The error function ---- */

static inline vec erf_(vec x) {
    vec a = abs_(x), z = x * x;
    vec near = fma_(x, POLYNOMIAL(z, erf_terms), x);
    vec b = at_most(a, RNVP_BITS == 32 ? 4 : 6); /* there, erf rounds to 1 */
    vec far = (vec)((ivec)(1 - exp_(POLYNOMIAL(b - 2, erfc_terms))) | sign_bit(x));
    return choose(a < 1, near, far);
}
