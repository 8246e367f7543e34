/* The options of the example kernel. */
#ifndef OCEAN_OPTIONS_H
#define OCEAN_OPTIONS_H

#include <stdint.h>

struct options {
    const char *domain;        /* mask file, for a run without dcrun; NULL: none */
    uint64_t years;            /* years to step through */
    uint64_t longer;           /* times as many */
    uint64_t steps_a_day;
    uint64_t checkpoint_every; /* steps between two checkpoints at most; 0: only when the library says so */
    double albedo;             /* constant; negative: by latitude and ice */
    int dtype;                 /* DC_F8, DC_F4, DC_I8 or DC_U4 */
    int check_index;           /* the result is each cell's global index */
    int verify;                /* compare the annual mean with the closed form */
};

/* Reads them; on a mistake says so and ends with status 2. */
void read_options(struct options *options, int argc, char **argv);

#endif
