#include "base/hash.h"

#include <stdbool.h>

static inline uint64_t rotl(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

uint64_t hash_keyed(struct hash_key key, struct span s)
{
    struct sip sip = {key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d,
                      key.k0 ^ 0x6c7967656e657261, key.k1 ^ 0x7465646279746573};
    size_t at = 0;
    for (; at + 8 <= s.len; at += 8) {
        uint64_t m;
        memcpy(&m, s.data + at, 8);
        sip.v3 ^= m;
        sip_round(&sip);
        sip.v0 ^= m;
    }
    uint64_t last = (uint64_t)s.len << 56;
    for (size_t i = 0; at + i < s.len; i++)
        last |= (uint64_t)s.data[at + i] << (8 * i);
    sip.v3 ^= last;
    sip_round(&sip);
    sip.v0 ^= last;
    sip.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&sip);
    return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}

uint32_t hash_partition(struct span device, uint32_t partitions)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < device.len; i++)
        h = (h ^ device.data[i]) * 0x100000001b3;
    h ^= h >> 32;
    return (uint32_t)h % partitions;
}

/* Remainders of one byte, and of it followed by one to seven zero bytes. */
static uint32_t crc_table[8][256];

__attribute__((constructor)) static void crc_table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
        crc_table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            crc_table[t][i] = crc_table[t - 1][i] >> 8 ^ crc_table[0][crc_table[t - 1][i] & 0xff];
}

#if defined(__x86_64__)
/* The processor's own instruction, where it has it. */
__attribute__((target("sse4.2"))) static uint32_t crc_by_processor(uint32_t crc, struct span s)
{
    uint64_t wide = crc;
    size_t at = 0;
    for (; at + 8 <= s.len; at += 8) {
        uint64_t word;
        memcpy(&word, s.data + at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; at < s.len; at++)
        crc = __builtin_ia32_crc32qi(crc, s.data[at]);
    return crc;
}

static bool processor_has_crc(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t crc_by_processor(uint32_t crc, struct span s)
{
    (void)s;
    return crc;
}

static bool processor_has_crc(void)
{
    return false;
}
#endif

uint32_t hash_crc32c(uint32_t crc, struct span s)
{
    return processor_has_crc() ? ~crc_by_processor(~crc, s) : hash_crc32c_by_table(crc, s);
}

uint32_t hash_crc32c_by_table(uint32_t crc, struct span s)
{
    crc = ~crc;
    size_t at = 0;
    for (; at + 8 <= s.len; at += 8) { /* slicing by eight: eight table look-ups a step */
        uint64_t word;
        memcpy(&word, s.data + at, 8);
        word ^= crc;
        crc = crc_table[7][word & 0xff] ^ crc_table[6][word >> 8 & 0xff] ^
              crc_table[5][word >> 16 & 0xff] ^ crc_table[4][word >> 24 & 0xff] ^
              crc_table[3][word >> 32 & 0xff] ^ crc_table[2][word >> 40 & 0xff] ^
              crc_table[1][word >> 48 & 0xff] ^ crc_table[0][word >> 56];
    }
    for (; at < s.len; at++)
        crc = crc >> 8 ^ crc_table[0][(crc ^ s.data[at]) & 0xff];
    return ~crc;
}
