/* Goes through the interface as a kernel does, in C and in C++. What goes wrong is said, and ends it with status 1. */
#include "dcspool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                        \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, dc_error());            \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

static double field[1000];
static int32_t count;

static struct dc_region region(uint32_t id, void *data, uint64_t bytes)
{
    struct dc_region r;
    r.id = id;
    r.data = data;
    r.bytes = bytes;
    return r;
}

/* A run that checkpoints, or one that goes on from that. */
static void run(uint64_t expected_step)
{
    struct dc_region state[2];
    uint64_t step = 77;
    size_t i;
    state[0] = region(1, field, sizeof field);
    state[1] = region(2, &count, sizeof count);
    const int restored = dc_restore(state, 2, &step);
    CHECK(restored == (expected_step ? 1 : 0));
    CHECK(step == (expected_step ? expected_step : 77));
    for (i = 0; i < 1000; i++)
        CHECK(field[i] == (expected_step ? (double)i / 3 : 0));
    CHECK(count == (expected_step ? -5 : 0));

    for (i = 0; i < 1000; i++)
        field[i] = (double)i / 3;
    count = -5;
    CHECK(dc_checkpoint_due() >= 0);
    CHECK(dc_progress(10) == 0);
    CHECK(dc_checkpoint(expected_step + 10, state, 2) == 0);
    CHECK(dc_result(DC_F8, 1, DC_EFFECTIVE, field, 1000) == 0);
}

static void mistakes(void)
{
    struct dc_region twice[2];
    twice[0] = region(1, field, 8);
    twice[1] = region(1, field, 8);
    CHECK(dc_checkpoint(1, twice, 2) == DC_EINVAL);
    CHECK(strstr(dc_error(), "region 1 is given twice"));
    twice[0].data = NULL;
    CHECK(dc_checkpoint(1, twice, 1) == DC_EINVAL);
    CHECK(strstr(dc_error(), "null"));
    CHECK(dc_checkpoint(1, NULL, 3) == DC_EINVAL);
    CHECK(dc_restore(NULL, 3, NULL) == DC_EINVAL);
    twice[0] = region(1, field, UINT64_MAX);
    CHECK(dc_checkpoint(1, twice, 1) == DC_EINVAL);
    CHECK(dc_result(0, 1, DC_EFFECTIVE, field, 1) == DC_EINVAL);
    CHECK(dc_result(257, 1, DC_EFFECTIVE, field, 1) == DC_EINVAL);
    CHECK(dc_result(DC_F8, 1, 9, field, 1) == DC_EINVAL);
    CHECK(dc_result(DC_F8, 0, DC_EFFECTIVE, field, 1) == DC_EINVAL);
    CHECK(dc_result(DC_F8, 3, DC_EFFECTIVE, field, 1000) == DC_EINVAL);
    CHECK(dc_result(DC_F8, 1, DC_BYTES, field, 1000) == DC_EINVAL);
    CHECK(dc_result(DC_F8, 1, DC_EFFECTIVE, NULL, 1) == DC_EINVAL);
    CHECK(dc_result(DC_F8, 1, DC_EFFECTIVE, field, UINT64_MAX) == DC_EINVAL);
    CHECK(dc_block(NULL) == DC_EINVAL);
    CHECK(dc_domain(NULL) == DC_EINVAL);
    CHECK(dc_domain("/nowhere/at\nall") == DC_EDOMAIN);
    CHECK(!strchr(dc_error(), '\n'));
}

/* Of a mask of 4 x 3 cells, 7 of them effective. */
static void domain(const char *path)
{
    uint32_t block[4], nx = 0, ny = 0;
    unsigned char mask[12];
    CHECK(dc_grid(&nx, &ny) == 0);
    CHECK(dc_block(block) == 0);
    CHECK(dc_mask(mask, 12) == DC_EDOMAIN);
    CHECK(dc_cells() == 0);
    CHECK(dc_domain(path) == 0);
    CHECK(dc_grid(&nx, &ny) == 1 && nx == 4 && ny == 3);
    CHECK(dc_grid(NULL, NULL) == 1);
    CHECK(dc_block(block) == 1 && block[0] == 0 && block[1] == 0 && block[2] == 4 && block[3] == 3);
    CHECK(dc_cells() == 7);
    CHECK(dc_mask(NULL, 0) == 7);
    CHECK(dc_mask(mask, 11) == DC_EINVAL);
    CHECK(dc_mask(NULL, 12) == DC_EINVAL);
    CHECK(dc_mask(mask, 12) == 7);
    CHECK(memcmp(mask, "\0\1\1\0\1\1\1\1\0\0\1\0", 12) == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    CHECK(strcmp(dc_error(), "") == 0);
    if (strcmp(argv[1], "bad-environment") == 0) {
        CHECK(dc_progress(1) == DC_EENV && dc_checkpoint_due() == DC_EENV && dc_subtask() == 0);
        CHECK(strstr(dc_error(), argv[2]));
        return 0;
    }
    if (strcmp(argv[1], "restore-fails") == 0) {
        struct dc_region one = region(1, field, sizeof field);
        uint64_t step = 5;
        field[0] = 8.5;
        CHECK(dc_restore(&one, 1, &step) == atoi(argv[2]));
        CHECK(step == 5 && field[0] == 8.5);
        return 0;
    }
    CHECK(dc_subtask() == 0 && dc_rank() == 0);
    run((uint64_t)atoi(argv[1]));
    CHECK(dc_attempt() == 1 + (uint32_t)atoi(argv[1]) / 10);
    mistakes();
    domain(argv[2]);
    return 0;
}
