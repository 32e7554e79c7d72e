/* The two number types of one instruction set; see rnvp_instances.h. */
#define RNVP_BITS 32
#define RNVP_FMA RNVP_FMA_32
#define RNVP_SQRT RNVP_SQRT_32
#include "rnvp_vector.h"
#include "rnvp_kernels.h"
#undef RNVP_BITS
#undef RNVP_FMA
#undef RNVP_SQRT
#define RNVP_BITS 64
#define RNVP_FMA RNVP_FMA_64
#define RNVP_SQRT RNVP_SQRT_64
#include "rnvp_vector.h"
#include "rnvp_kernels.h"
#undef RNVP_BITS
#undef RNVP_FMA
#undef RNVP_SQRT
#undef RNVP_FMA_32
#undef RNVP_FMA_64
#undef RNVP_SQRT_32
#undef RNVP_SQRT_64
#undef RNVP_TARGET
#undef RNVP_BYTES
#undef RNVP_BLOCK
#undef RNVP_COLUMNS
