#ifdef RNVP_ELEMENTARY
/* For tests/native/elementary.c: 16 values of one of the functions above. */
static void elementary(int f, const REAL *from, REAL *to) {
    for (int i = 0; i < 16; i += LANES) {
        vec x = load(from + i), y, unused;
        switch (f) {
        case 0: y = exp_(x); break;
        case 1: y = expm1_(x); break;
        case 2: y = tanh_(x); break;
        case 3: y = sigmoid_(x); break;
        case 4: y = log1p_(x); break;
        case 5: y = log_(x); break;
        case 6: y = softplus_(x); break;
        case 7: y = sin_(x); break;
        case 8: y = cos_(x); break;
        case 9: sin_cos_turns(x, &y, &unused); break;
        case 10: y = atan_(x); break;
        default: y = erf_(x); break;
        }
        store(to + i, y);
    }
}
#endif
