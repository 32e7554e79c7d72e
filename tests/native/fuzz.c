/* Fuzzing of flow.bin: any bytes are refused with a message, or are a flow that runs.
 *
 * With clang's libFuzzer:  clang -g -fsanitize=fuzzer,address,undefined -DRNVP_LIBFUZZER ...
 * With any compiler:       fuzz SEED ROUNDS FLOW.BIN...   changes a few bytes of a file each round.
 */
#include "rnvp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 9, MOST = 1 << 24 /* bytes: a larger flow is only opened */ };

static void use(const rnvp_flow *flow) {
    size_t size = rnvp_dtype(flow) == RNVP_FLOAT64 ? 8 : 4, dim = (size_t)rnvp_dim(flow);
    size_t conditions = (size_t)rnvp_context_dim(flow),
           bytes = ROWS * size * (dim + conditions + 1);
    if (rnvp_workspace_size(flow) > MOST) return;
    rnvp_workspace *workspace = rnvp_workspace_new(flow);
    void *x = calloc(1, bytes), *context = conditions ? calloc(1, bytes) : NULL;
    void *out = malloc(bytes), *log_prob = malloc(bytes), *by_context = malloc(bytes);
    if (workspace && x && out && log_prob && by_context) {
        if (rnvp_sample(flow, workspace, 7, 3, ROWS, 1.0, context, x, log_prob)) abort();
        if (rnvp_forward(flow, workspace, ROWS, x, context, log_prob, out)) abort();
        if (rnvp_inverse(flow, workspace, 1, out, context, x, NULL)) abort();
        if (rnvp_gradient(flow, workspace, ROWS, x, context, log_prob, out, by_context)) abort();
        if (rnvp_gradient(flow, workspace, 1, x, context, NULL, out, NULL)) abort();
    }
    rnvp_workspace_free(workspace);
    free(x), free(context), free(out), free(log_prob), free(by_context);
}

/* 1 if the bytes were a flow. */
static int try_bytes(const unsigned char *bytes, size_t size) {
    static const unsigned how[2] = {RNVP_GRADIENT, RNVP_GRADIENT | RNVP_BASELINE};
    int opened = 0;
    for (int i = 0; i < 2; i++) {
        rnvp_flow *flow;
        rnvp_error error = {RNVP_OK, ""};
        rnvp_status status = rnvp_open(bytes, size, how[i], &flow, &error);
        if (status) {
            if (flow || error.status != status || !error.message[0]) abort();
            continue;
        }
        use(flow);
        rnvp_close(flow);
        opened = 1;
    }
    return opened;
}

#ifdef RNVP_LIBFUZZER

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size) {
    try_bytes(bytes, size);
    return 0;
}

#else

static uint64_t state;

static uint64_t next_random(void) { /* splitmix64 */
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* A few words of 1, 4 or 8 bytes become others, most of them in the header and the records; or the
 * file ends early, and its header says so. */
static size_t mutate(unsigned char *bytes, size_t size) {
    static const uint64_t likely[] = {
        0,         1,  2,  3,   4,     8,     16,         17,         18,
        19,        20, 64, 128, 65535, 65536, 0x7fffffff, 0xffffffff, 0x7ff0000000000000,
        UINT64_MAX};
    for (int changes = 1 + (int)(next_random() % 4); changes--;) {
        size_t width = (size_t[]){1, 4, 4, 8}[next_random() % 4];
        size_t reach = next_random() % 4 ? (size < 2048 ? size : 2048) : size;
        size_t at = next_random() % reach / width * width;
        uint64_t value = next_random();
        if (value % 3) value = likely[next_random() % (sizeof likely / sizeof *likely)];
        if (at + width <= size) memcpy(bytes + at, &value, width);
    }
    if (next_random() % 8 == 0) {
        uint64_t shorter = size = next_random() % size;
        if (size >= 64) memcpy(bytes + 16, &shorter, 8);
    }
    return size;
}

int main(int count, char **args) {
    if (count < 4) return fprintf(stderr, "usage: fuzz SEED ROUNDS FLOW.BIN...\n"), 2;
    unsigned long rounds = strtoul(args[2], NULL, 10), opened = 0;
    state = strtoull(args[1], NULL, 10);
    for (int i = 3; i < count; i++) {
        FILE *file = fopen(args[i], "rb");
        if (!file) return fprintf(stderr, "cannot read %s\n", args[i]), 1;
        static unsigned char content[1 << 20];
        size_t size = fread(content, 1, sizeof content, file);
        fclose(file);
        if (!try_bytes(content, size)) return fprintf(stderr, "%s is no flow\n", args[i]), 1;
        for (unsigned long round = 0; round < rounds; round++) {
            unsigned char *bytes = malloc(size); /* exactly as long, so that reading on is found */
            if (!bytes) return 1;
            memcpy(bytes, content, size);
            opened += (unsigned long)try_bytes(bytes, mutate(bytes, size));
            free(bytes);
        }
    }
    printf("%lu rounds each, %lu opened\n", rounds, opened);
    return 0;
}

#endif
