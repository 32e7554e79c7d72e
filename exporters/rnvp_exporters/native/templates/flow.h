/* A flow, as the bytes of a flow.bin: @DIM@ columns, @CONTEXT_DIM@ of context, numbers of type @REAL@. */
#ifndef FLOW_H
#define FLOW_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { FLOW_DIM = @DIM@, FLOW_CONTEXT_DIM = @CONTEXT_DIM@ };
typedef @REAL@ flow_real;

extern const uint32_t flow_words[];
extern const size_t flow_size; /* in bytes */

#ifdef __cplusplus
}
#endif

#endif
