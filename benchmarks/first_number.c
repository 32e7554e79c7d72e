/* The shortest program: open a flow, score one row.
 *
 *     first_number flow.bin
 *
 * Prints log_prob of a row of 0.1, and the most kilobytes that were resident at once. */
#include "rnvp.h"

#include <stdio.h>
#include <stdlib.h>

int main(int count, char **args) {
    rnvp_flow *flow;
    rnvp_error error;
    float log_prob;
    if (count < 2) return fprintf(stderr, "usage: first_number FLOW.BIN\n"), 2;
    if (rnvp_open_file(args[1], 0, &flow, &error)) return fprintf(stderr, "%s\n", error.message), 1;
    rnvp_workspace *workspace = rnvp_workspace_new(flow);
    size_t dim = (size_t)rnvp_dim(flow);
    float *x = malloc(dim * sizeof *x);
    if (!workspace || !x) return fprintf(stderr, "out of memory\n"), 1;
    for (size_t j = 0; j < dim; j++) x[j] = 0.1f;
    if (rnvp_forward(flow, workspace, 1, x, NULL, &log_prob, NULL)) return 1;
    printf("%.9g\n", (double)log_prob);
    fflush(stdout);
    FILE *status = fopen("/proc/self/status", "r"); /* Linux alone has it */
    char line[256];
    while (status && fgets(line, sizeof line, status)) {
        unsigned long kilobytes;
        if (sscanf(line, "VmHWM: %lu", &kilobytes) == 1) printf("%lu\n", kilobytes);
    }
    return 0;
}
