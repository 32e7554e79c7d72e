#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "rnvp_coefficients.h"
#include "rnvp_angle.h"
#include "rnvp_instances.h"
