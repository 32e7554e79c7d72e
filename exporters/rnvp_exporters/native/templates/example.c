/* Draws samples and prints each with its log_prob in nats. */
#include <stdio.h>

#include "flow.h"
#include "rnvp.h"

int main(void) {
    enum { N = 5 };
    static flow_real x[N][FLOW_DIM], log_prob[N];@DECLARE_CONTEXT@
    rnvp_flow *flow;
    rnvp_error error;
    if (rnvp_open(flow_words, flow_size, 0, &flow, &error)) return puts(error.message), 1;
    rnvp_workspace *workspace = rnvp_workspace_new(flow);
    rnvp_sample(flow, workspace, /* seed */ 7, /* start */ 0, N, /* temperature */ 1.0, @CONTEXT@, x, log_prob);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < FLOW_DIM; j++) printf("%.9g,", (double)x[i][j]);
        printf("%.9g\n", (double)log_prob[i]);
    }
    rnvp_workspace_free(workspace);
    rnvp_close(flow);
    return 0;
}
