/* sim.c — the simulator: one seed decides a whole run of shards, mail, sessions and store,
 * with back ends, devices, power cuts, failing and full disks, and restarts.
 *
 *   sim --seeds 1-1000           each must keep every promise; prints what happened at the end
 *   sim --seed 17 --verbose      tell what happens, step by step
 *   sim --seed 17 --twice        the same seed gives the same trace
 *   sim --seeds 1-100 --fault LOST_DELETE    must not get through (exit 1)
 */
#include "run.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

static int usage(void)
{
    fputs("usage: sim (--seed N | --seeds A-B) [--verbose] [--twice] [--fault NAME]\n", stderr);
    return 2;
}

static bool fault_parse(const char *text, enum fault *out)
{
    static const char *const names[] = {
#define X(name, what) #name,
        FAULTS(X)
#undef X
    };
    for (int i = 0; i < FAULT_COUNT; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = (enum fault)i;
            return true;
        }
    }
    return false;
}

struct options {
    uint64_t first, last;
    bool twice;
    enum fault fault;
};

static bool options_parse(int argc, char **argv, struct options *out)
{
    *out = (struct options){.first = 1, .last = 1000};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--verbose") == 0) {
            report.verbose = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            out->twice = true;
        } else if (strcmp(argv[i], "--seed") == 0) {
            out->first = out->last = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            const char *dash = strchr(value, '-');
            out->first = strtoull(value, NULL, 10);
            out->last = dash ? strtoull(dash + 1, NULL, 10) : out->first;
            i++;
        } else if (strcmp(argv[i], "--fault") != 0 || !fault_parse(argv[++i], &out->fault)) {
            return false;
        }
    }
    return out->first <= out->last;
}

static void add(struct machine_stats *all, const struct machine_stats *one)
{
#define X(name, text) all->name += one->name;
    MACHINE_STATS(X)
#undef X
}

static void print(const struct machine_stats *all)
{
#define X(name, text) printf("%10llu " text "\n", (unsigned long long)all->name);
    MACHINE_STATS(X)
#undef X
}

int main(int argc, char **argv)
{
    struct options o;
    if (!options_parse(argc, argv, &o))
        return usage();
    report_on_abort();
    uint64_t hash = 0;
    size_t changes = 0;
    struct machine_stats all = {0};
    for (uint64_t seed = o.first; seed <= o.last; seed++) {
        struct run_result result = run_play(seed, o.fault);
        if (o.twice && run_play(seed, o.fault).hash != result.hash) {
            fprintf(stderr, "seed %llu does not repeat\n", (unsigned long long)seed);
            return 1;
        }
        hash = hash * 0x100000001b3 ^ result.hash;
        changes += result.changes;
        add(&all, &result.machine);
    }
    print(&all);
    printf("seeds %llu-%llu: %zu changes, trace %016llx\n", (unsigned long long)o.first,
           (unsigned long long)o.last, changes, (unsigned long long)hash);
    return 0;
}
