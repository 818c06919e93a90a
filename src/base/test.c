#include "base/test.h"

#include <sys/mman.h>
#include <unistd.h>

struct span test_at_edge(struct span s)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (s.len + page - 1) / page * page;
    uint8_t *block =
        mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(block != MAP_FAILED);
    assert_int_equal(mprotect(block + room, page, PROT_NONE), 0);
    uint8_t *copy = block + room - s.len;
    if (s.len)
        memcpy(copy, s.data, s.len);
    return span_of(copy, s.len);
}

uint64_t test_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}
