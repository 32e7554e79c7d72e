/* One row in C: the time of rnvp_forward, rnvp_inverse and rnvp_sample, beside the time to read as
 * many bytes as the flow's weights have, once, from wherever they lie.
 *
 *     cc -O3 -std=c11 -Iruntime/c benchmarks/one_row.c runtime/c/rnvp.c -o one_row
 *     one_row flow.bin [REPEATS]
 *
 * Prints the median of each in microseconds, of rounds that take turns. */
#define _POSIX_C_SOURCE 199309L
#include "rnvp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The sum of all numbers, by vectors of `bytes` in eight independent sums: an addition takes longer
 * than a load. The floor is the faster of the two sizes. */
#define READER(name, bytes, attributes)                                                          \
    attributes __attribute__((noinline)) static float name(const float *numbers, size_t count) { \
        typedef float lanes __attribute__((vector_size(bytes)));                                 \
        enum { WIDTH = bytes / sizeof(float) };                                                  \
        lanes a = {0}, b = a, c = a, d = a, e = a, f = a, g = a, h = a;                          \
        for (size_t i = 0; i + 8 * WIDTH <= count; i += 8 * WIDTH) {                             \
            const lanes *next = (const lanes *)(numbers + i);                                    \
            a += next[0], b += next[1], c += next[2], d += next[3];                              \
            e += next[4], f += next[5], g += next[6], h += next[7];                              \
        }                                                                                        \
        a += b + c + d + e + f + g + h;                                                          \
        return a[0] + a[WIDTH - 1];                                                              \
    }
READER(read_narrow, 16, )
#if defined(__x86_64__)
READER(read_wide, 32, __attribute__((target("avx2"))))
#define CAN_READ_WIDE __builtin_cpu_supports("avx2")
#else
#define read_wide read_narrow
#define CAN_READ_WIDE 0
#endif

int main(int count, char **args) {
    rnvp_flow *flow;
    rnvp_error error;
    enum { RUNS = 5 };
    const char *names[RUNS] = {"read by 16 bytes", "read by 32 bytes", "forward", "inverse", "sample"};
    if (count < 2) return fprintf(stderr, "usage: one_row FLOW.BIN [REPEATS]\n"), 2;
    int repeats = count > 2 ? atoi(args[2]) : 2000;
    double started = now();
    if (rnvp_open_file(args[1], 0, &flow, &error)) return fprintf(stderr, "%s\n", error.message), 1;
    rnvp_workspace *workspace = rnvp_workspace_new(flow);
    FILE *file = fopen(args[1], "rb");
    fseek(file, 0, SEEK_END);
    size_t numbers = (size_t)ftell(file) / sizeof(float), dim = (size_t)rnvp_dim(flow);
    fclose(file);
    float *weights = aligned_alloc(64, (numbers * sizeof *weights + 63) / 64 * 64), log_prob = 0;
    for (size_t i = 0; i < numbers; i++) weights[i] = 1; /* or all pages would be one */
    double *x = calloc(dim, sizeof *x), *z = calloc(dim, sizeof *z);
    rnvp_sample(flow, workspace, 7, 0, 1, 1.0, NULL, x, &log_prob);
    printf("opened and sampled %12.1f us\n", now() - started);
    double *times[RUNS];
    volatile float kept = 0;
    for (int run = 0; run < RUNS; run++) times[run] = calloc((size_t)repeats, sizeof(double));
    for (int i = 0; i < repeats; i++)
        for (int run = 0; run < RUNS; run++) {
            double began = 0;
            for (int again = 0; again < 4; again++) { /* the first ones fill the caches */
                if (again == 3) began = now();
                if (run == 0) kept = kept + read_narrow(weights, numbers);
                if (run == 1)
                    kept = kept + (CAN_READ_WIDE ? read_wide : read_narrow)(weights, numbers);
                if (run == 2) rnvp_forward(flow, workspace, 1, x, NULL, &log_prob, z);
                if (run == 3) rnvp_inverse(flow, workspace, 1, z, NULL, x, &log_prob);
                if (run == 4) rnvp_sample(flow, workspace, 7, (uint64_t)i, 1, 1.0, NULL, x, NULL);
            }
            times[run][i] = now() - began;
        }
    for (int run = 0; run < RUNS; run++) {
        qsort(times[run], (size_t)repeats, sizeof(double), by_value);
        printf("%-18s %12.2f us (least %.2f)\n", names[run], times[run][repeats / 2], times[run][0]);
    }
    printf("%zu bytes, %s\n", numbers * sizeof(float), rnvp_target(flow));
    return 0;
}
