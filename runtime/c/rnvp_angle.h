/* x modulo pi/2 for any x, however large: the reduction of M. Payne and R. Hanek (1983). */

/* x = k pi/2 + r with |r| <= pi/4, for |x| >= 2; returns k modulo 4. NaN and infinity give NaN. */
static int rnvp_far_angle(double x, double *r) {
    /* 64 zeros, and the first 1280 bits of 2 / pi. */
    static const uint64_t table[21] = {0,
                                       0xa2f9836e4e441529,
                                       0xfc2757d1f534ddc0,
                                       0xdb6295993c439041,
                                       0xfe5163abdebbc561,
                                       0xb7246e3a424dd2e0,
                                       0x06492eea09d1921c,
                                       0xfe1deb1cb129a73e,
                                       0xe88235f52ebb4484,
                                       0xe99c7026b45f7e41,
                                       0x3991d639835339f4,
                                       0x9c845f8bbdf9283b,
                                       0x1ff897ffde05980f,
                                       0xef2f118b5a0a6d1f,
                                       0x6d367ecf27cb09b7,
                                       0x4f463f669e5fea2d,
                                       0x7527bac7ebe5f17b,
                                       0x3d0739f78a5292ea,
                                       0x6bfb5fb11f8d5d08,
                                       0x56033046fc7b6bab,
                                       0xf0cfbc209af4361d};
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52 & 2047);
    if (exponent == 2047) {
        *r = x - x;
        return 0;
    }
    uint64_t mantissa = (bits & 0xfffffffffffff) | 0x10000000000000;

    /* |x| = mantissa 2^e. The bits of 2/pi above 2^(1 - e) make multiples of 4 quadrants: leave
     * them out. The next 192 bits times the mantissa are |x| / (pi/2) modulo 4, in units of 2^-190;
     * the bits after these would change r by less than 2^-136. */
    int first = exponent - 1075 - 2 + 64;
    uint32_t product[6] = {0}; /* lowest first */
    for (int j = 0; j < 2; j++) {
        uint64_t factor = (uint32_t)(mantissa >> 32 * j), sum = 0;
        for (int i = 0; i + j < 6; i++) {
            int bit = first + 32 * (5 - i), shift = bit % 64;
            uint64_t high = table[bit / 64] << shift;
            uint64_t low = shift ? table[bit / 64 + 1] >> (64 - shift) : 0;
            sum += factor * ((high | low) >> 32) + product[i + j];
            product[i + j] = (uint32_t)sum;
            sum >>= 32;
        }
    }
    int k = (int)(product[5] >> 30), above = (int)(product[5] >> 29 & 1);
    product[5] &= 0x3fffffff;
    double fraction = 0;
    for (int i = 0; i < 6; i++) { /* from below: the last addition rounds */
        double part = above ? (i < 5 ? (double)(product[i] ^ 0xffffffff) : product[5] ^ 0x3fffffff)
                            : (double)product[i];
        fraction = (fraction + part) * 0x1p-32;
    }
    *r = fraction * (above ? -0x1p2 : 0x1p2) * 1.57079632679489661923;
    k += above;
    if (x < 0) *r = -*r, k = -k;
    return k & 3;
}
