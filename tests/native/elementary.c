/* Measures the elementary functions: the largest error in ULP, and where.
 *
 *     elementary FUNCTION TARGET BITS STRIDE
 *
 * float32: every STRIDE-th of all 2^32 bit patterns, against the C library in float64. float64: as
 * many random bit patterns and, as often, numbers near 1, against the library in long double.
 * A wrong class (NaN, infinity, the sign of zero) counts as an infinite error.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "rnvp.c"

typedef struct {
    const char *name;
    double low, high; /* where it is promised to be right */
    long double (*exact)(long double);
    double (*exact_enough)(double); /* for float32: float64 is faster */
} function;

/* Both precisions of what the C library lacks. */
#define DEFINE(type, suffix, pi)                                                                   \
    static type sigmoid##suffix(type x) { return 1 / (1 + exp##suffix(-x)); }                      \
    static type softplus##suffix(type x) {                                                         \
        return x > 0 ? x + log1p##suffix(exp##suffix(-x)) : log1p##suffix(exp##suffix(x));         \
    }                                                                                              \
    static type turns##suffix(type u) {                                                            \
        int k = (int)(4 * u + (type)0.5); /* the nearest quarter */                                \
        type r = 2 * pi * (u - (type)0.25 * (type)k);                                              \
        type y = k % 2 ? cos##suffix(r) : sin##suffix(r);                                          \
        return k % 4 / 2 ? -y : y;                                                                 \
    }
DEFINE(long double, l, 3.14159265358979323846264338327950288L)
DEFINE(double, , 3.14159265358979323846)

static const function functions[] = {
    {"exp", -INFINITY, INFINITY, expl, exp},
    {"expm1", -INFINITY, 0, expm1l, expm1},
    {"tanh", -INFINITY, INFINITY, tanhl, tanh},
    {"sigmoid", -INFINITY, INFINITY, sigmoidl, sigmoid},
    {"log1p", 0, 1, log1pl, log1p},
    {"log", -INFINITY, INFINITY, logl, log},
    {"softplus", -INFINITY, INFINITY, softplusl, softplus},
    {"sin", -INFINITY, INFINITY, sinl, sin},
    {"cos", -INFINITY, INFINITY, cosl, cos},
    {"turns", 0, 1, turnsl, turns},
    {"atan", -INFINITY, INFINITY, atanl, atan},
    {"erf", -INFINITY, INFINITY, erfl, erf},
};

static double ulps(double got, long double want, int bits) {
    int digits = bits == 32 ? 24 : 53, least = bits == 32 ? -149 : -1074;
    double rounded = bits == 32 ? (double)(float)want : (double)want;
    if (isnan(want) || isinf(rounded) || isnan(got) || isinf(got))
        return (isnan(want) && isnan(got)) || got == rounded ? 0 : INFINITY;
    if (want == 0) return got == 0 && signbit(got) == signbit(want) ? 0 : INFINITY;
    int exponent;
    frexpl(want, &exponent);
    exponent -= digits;
    if (exponent < least) exponent = least;
    return (double)fabsl(ldexpl((long double)got - want, -exponent));
}

static uint64_t random_bits(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

int main(int count, char **args) {
    if (count != 5) return fprintf(stderr, "usage: elementary FUNCTION TARGET BITS STRIDE\n"), 2;
    int bits = atoi(args[3]);
    size_t f = 0, functions_count = sizeof functions / sizeof *functions;
    while (f < functions_count && strcmp(functions[f].name, args[1])) f++;
    if (f == functions_count) return fprintf(stderr, "unknown function\n"), 2;
    const function *it = &functions[f];
    uint64_t stride = strtoull(args[4], NULL, 10), seed = 7, next = 0;
    double worst = 0, where = 0;
    for (int done = 0; !done;) {
        float x32[16], y32[16];
        double x64[16], y64[16];
        for (int i = 0; i < 16; i++, next += stride) {
            if (next >> 32) done = 1;
            if (bits == 32) {
                uint32_t pattern = (uint32_t)next;
                memcpy(&x32[i], &pattern, 4);
                if (!(x32[i] >= it->low && x32[i] <= it->high) && x32[i] == x32[i]) x32[i] = 0;
            } else {
                uint64_t pattern = random_bits(&seed);
                memcpy(&x64[i], &pattern, 8);
                if (i & 1) x64[i] = ldexp((double)(int64_t)pattern, (int)(pattern & 31) - 80);
                if (i == 8) x64[i] = 1 + ldexp((double)(int64_t)pattern, -90 + (int)(pattern & 31));
                if (!(x64[i] >= it->low && x64[i] <= it->high) && x64[i] == x64[i]) x64[i] = 0;
            }
        }
        if (!strcmp(args[2], "baseline"))
            bits == 32 ? elementary_32_baseline((int)f, x32, y32)
                       : elementary_64_baseline((int)f, x64, y64);
#if defined(__x86_64__)
        else if (!strcmp(args[2], "avx2"))
            bits == 32 ? elementary_32_avx2((int)f, x32, y32)
                       : elementary_64_avx2((int)f, x64, y64);
        else if (!strcmp(args[2], "avx512"))
            bits == 32 ? elementary_32_avx512((int)f, x32, y32)
                       : elementary_64_avx512((int)f, x64, y64);
#endif
        else
            return fprintf(stderr, "unknown target\n"), 2;
        for (int i = 0; i < 16; i++) {
            double x = bits == 32 ? (double)x32[i] : x64[i],
                   y = bits == 32 ? (double)y32[i] : y64[i];
            long double want = bits == 32 ? it->exact_enough(x) : it->exact(x);
            double error = ulps(y, want, bits);
            if (error > worst) worst = error, where = x;
        }
    }
    printf("%s %s float%d %.3f at %.17g\n", args[1], args[2], bits, worst, where);
    return 0;
}
