/* The words of the sample stream, docs/stream.md: Philox4x32-10 of J. K. Salmon, M. A. Moraes,
 * R. O. Dror and D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011. */

void rnvp_stream_words(uint64_t seed, uint64_t row, uint32_t block, uint32_t words[4]) {
    uint32_t a = (uint32_t)row, b = (uint32_t)(row >> 32), c = block, d = 0;
    uint32_t low = (uint32_t)seed, high = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)a * 0xd2511f53, q = (uint64_t)c * 0xcd9e8d57;
        a = (uint32_t)(q >> 32) ^ b ^ low;
        b = (uint32_t)q;
        c = (uint32_t)(p >> 32) ^ d ^ high;
        d = (uint32_t)p;
        low += 0x9e3779b9, high += 0xbb67ae85;
    }
    words[0] = a, words[1] = b, words[2] = c, words[3] = d;
}

/* In (0, 1], a float32 number for every flow. */
static float rnvp_uniform(uint32_t word) { return (float)word * 0x1p-32f + 0x1p-33f; }
