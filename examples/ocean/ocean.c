/*
 * Sea-surface temperature by an energy balance: the example kernel, on dc's C library.
 *
 * One subtask is a block of the grid; only its sea cells are kept, row by row, and stepped through the years. The state (the
 * temperatures, and the sums over the last year) goes to a checkpoint now and then, so that a killed attempt is gone
 * on from there and ends with the same bits. The climate itself is in climate.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "climate.h"
#include "dcspool.h"
#include "options.h"

/* The sea cells of this subtask's block. */
struct sea {
    uint32_t nx, ny;   /* the grid */
    uint32_t block[4]; /* x0 y0 x1 y1: columns x0 <= x < x1, rows y0 <= y < y1 */
    size_t rows, cells;
    size_t *first;     /* first cell of each row, and one past the last cell */
    uint32_t *column;  /* of each cell, in the grid */
};

/* What a restart needs. A change of the fields is a change of the checkpoint. */
struct state {
    double *temperature;
    double *sum; /* over the steps of the last year */
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "kernel: %s: %s\n", what, why);
    exit(1);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        fail("memory", strerror(errno));
    return memory;
}

static void read_sea(struct sea *sea, const struct options *o)
{
    if (o->domain && dc_domain(o->domain) < 0)
        fail("domain", dc_error());
    const int grid = dc_grid(&sea->nx, &sea->ny), block = dc_block(sea->block);
    if (grid < 0 || block < 0)
        fail("domain", dc_error());
    if (grid == 0 || block == 0)
        fail("domain", "there is no mask; use dcrun --domain MASK, or by hand --domain MASK");
    const size_t width = sea->block[2] - sea->block[0];
    sea->rows = sea->block[3] - sea->block[1];
    unsigned char *mask = allocate(sea->rows * width, 1);
    const int64_t cells = dc_mask(mask, sea->rows * width);
    if (cells < 0)
        fail("domain", dc_error());
    sea->first = allocate(sea->rows + 1, sizeof *sea->first);
    sea->column = allocate((size_t)cells, sizeof *sea->column);
    for (size_t row = 0; row < sea->rows; row++) {
        for (size_t x = 0; x < width; x++)
            if (mask[row * width + x])
                sea->column[sea->cells++] = sea->block[0] + (uint32_t)x;
        sea->first[row + 1] = sea->cells;
    }
    free(mask);
}

static double row_latitude(const struct sea *sea, size_t row)
{
    return latitude_deg(sea->block[1] + (uint32_t)row, sea->ny);
}

/* Goes through the years, from the newest checkpoint if there is one; leaves the sums of the last year. */
static uint64_t run(const struct sea *sea, const struct options *o, struct state *state)
{
    const uint64_t year = DAYS_A_YEAR * o->steps_a_day, steps = year * o->years * o->longer;
    const double step_s = 86400.0 / o->steps_a_day;
    double *rate = allocate(sea->cells, sizeof *rate);
    double *sun = allocate(sea->rows * DAYS_A_YEAR, sizeof *sun);
    double *open = allocate(sea->rows, sizeof *open);
    for (size_t row = 0; row < sea->rows; row++) {
        const double latitude = row_latitude(sea, row);
        open[row] = open_albedo(latitude);
        for (int day = 0; day < DAYS_A_YEAR; day++)
            sun[day * sea->rows + row] = insolation_w_m2(latitude, day);
        for (size_t i = sea->first[row]; i < sea->first[row + 1]; i++) {
            const double longitude = longitude_deg(sea->column[i], sea->nx);
            rate[i] = step_s / heat_capacity(mixed_layer_m(longitude, latitude));
            state->temperature[i] = 15.0;
        }
    }

    /* Other arguments make another run: its checkpoints are not this one's. */
    const double wanted[] = {(double)steps, (double)o->steps_a_day, o->albedo, (double)sea->cells};
    double found[sizeof wanted / sizeof *wanted];
    memcpy(found, wanted, sizeof wanted);
    const struct dc_region regions[] = {
        {.id = 1, .data = found, .bytes = sizeof found},
        {.id = 2, .data = state->temperature, .bytes = sea->cells * sizeof(double)},
        {.id = 3, .data = state->sum, .bytes = sea->cells * sizeof(double)},
    };
    const size_t region_count = sizeof regions / sizeof *regions;

    uint64_t step = 0;
    if (dc_restore(regions, region_count, &step) < 0)
        fail("restart", dc_error());
    if (memcmp(found, wanted, sizeof wanted) != 0)
        fail("restart", "the checkpoint was written with other arguments");

    while (step < steps) {
        const double *today = sun + step / o->steps_a_day % DAYS_A_YEAR * sea->rows;
        if (step >= steps - year)
            for (size_t i = 0; i < sea->cells; i++)
                state->sum[i] += state->temperature[i];
        for (size_t row = 0; row < sea->rows; row++) {
            const size_t i = sea->first[row], n = sea->first[row + 1] - i;
            if (o->albedo >= 0.0)
                step_constant(state->temperature + i, rate + i, n, today[row], o->albedo);
            else
                step_ice(state->temperature + i, rate + i, n, today[row], open[row]);
        }
        step++;
        const int at_interval = o->checkpoint_every && step % o->checkpoint_every == 0;
        if (step < steps && (at_interval || dc_checkpoint_due() > 0)) {
            /* Without a checkpoint only time is lost, should this attempt die. */
            if (dc_checkpoint(step, regions, region_count) < 0)
                fprintf(stderr, "kernel: no checkpoint at step %" PRIu64 ": %s\n", step, dc_error());
        }
        dc_progress((uint64_t)((double)sea->cells * ((double)step / (double)steps)));
    }
    free(rate);
    free(sun);
    free(open);
    return year;
}

/* Whether every annual mean is the closed form's. What is left of the start fades with exp(-B t / C); the closed form
 * is of the time when nothing is, so that much is allowed besides 1e-6 degrees. */
static int verify(const struct sea *sea, const struct options *o, const double *mean)
{
    const double start_error = 150.0; /* degrees, more than any cell is from its mean at the start */
    const double faded_s = (double)(o->years * o->longer - 1) * DAYS_A_YEAR * 86400.0;
    double worst = 0.0, most_allowed = 0.0;
    size_t missed = 0;
    for (size_t row = 0; row < sea->rows; row++) {
        const double latitude = row_latitude(sea, row);
        const double expected = annual_mean_closed_form(latitude, o->albedo);
        for (size_t i = sea->first[row]; i < sea->first[row + 1]; i++) {
            const double capacity = heat_capacity(mixed_layer_m(longitude_deg(sea->column[i], sea->nx), latitude));
            const double allowed = 1e-6 + start_error * exp(-OUTGOING_B * faded_s / capacity);
            const double distance = fabs(mean[i] - expected);
            missed += !(distance <= allowed); /* as a NaN is */
            worst = fmax(worst, distance);
            most_allowed = fmax(most_allowed, allowed);
        }
    }
    if (most_allowed > 1e-3)
        fail("verify", "so few years still remember their start; give --years 60");
    fprintf(stderr, "kernel: %zu cells, %zu of them not the closed form's; at most %.2e degrees away, %.2e allowed\n",
            sea->cells, missed, worst, most_allowed);
    return missed == 0;
}

/* One value of the type that was asked for. */
static void put(void *values, int dtype, size_t i, double value)
{
    switch (dtype) {
    case DC_F4: ((float *)values)[i] = (float)value; break;
    case DC_I8: ((int64_t *)values)[i] = (int64_t)value; break;
    case DC_U4: ((uint32_t *)values)[i] = (uint32_t)value; break;
    default: ((double *)values)[i] = value; break;
    }
}

int main(int argc, char **argv)
{
    struct options o;
    read_options(&o, argc, argv);
    struct sea sea = {0};
    read_sea(&sea, &o);
    struct state state = {
        .temperature = allocate(sea.cells, sizeof(double)),
        .sum = allocate(sea.cells, sizeof(double)),
    };
    const uint64_t year = run(&sea, &o, &state);

    double *mean = state.sum;
    for (size_t i = 0; i < sea.cells; i++)
        mean[i] /= (double)year;
    const int good = !o.verify || verify(&sea, &o, mean);

    void *values = allocate(sea.cells, sizeof(double));
    for (size_t row = 0; row < sea.rows; row++)
        for (size_t i = sea.first[row]; i < sea.first[row + 1]; i++) {
            const double index = (double)(sea.block[1] + row) * sea.nx + sea.column[i];
            put(values, o.dtype, i, o.check_index ? index : mean[i]);
        }
    if (dc_result(o.dtype, 1, DC_EFFECTIVE, values, sea.cells) < 0)
        fail("result", dc_error());
    dc_progress(sea.cells);

    free(values);
    free(state.temperature);
    free(state.sum);
    free(sea.first);
    free(sea.column);
    return good ? 0 : 1;
}
