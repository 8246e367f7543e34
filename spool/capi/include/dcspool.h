/*
 * dcspool.h: the kernel's side of dc, for C and C++.
 *
 * A kernel is a program that dcrun starts once for each subtask. With these calls it goes on from its last checkpoint
 * after a failure, shows its progress, and hands over its result. A kernel that makes none of them still runs.
 *
 *     uint64_t step = 0;
 *     struct dc_region state[] = {{1, field, field_bytes}, {2, sums, sums_bytes}};
 *     if (dc_restore(state, 2, &step) < 0) { fprintf(stderr, "%s\n", dc_error()); return 1; }
 *     for (; step < steps; ) {
 *         compute(field, sums);
 *         step++;
 *         if (dc_checkpoint_due() > 0) dc_checkpoint(step, state, 2);
 *         dc_progress(cells_done(step));
 *     }
 *     if (dc_result(DC_F8, 1, DC_EFFECTIVE, sums, dc_cells()) < 0) { ... }
 *
 * Compile with -I<include>, link with libdcspool.a -lm -lpthread -ldl, or with -ldcspool for the shared library.
 *
 * Nothing needs to be opened or closed: the first call reads the DC_ variables of the environment (dc-kernel(7)).
 * Without them, run by hand, the kernel is subtask 0 of a spool of its own in $DC_SPOOL or ./dc-spool, and restores
 * and checkpoints there in the same way; one kernel at a time.
 *
 * Every function may be called from any thread; they take turns. Functions that return int return a negative number
 * for an error, the same each time for the same kind (below), and dc_error() says what it was. No function ends the
 * program, prints anything but the warning of dc_restore(), or throws.
 */
#ifndef DCSPOOL_H
#define DCSPOOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Errors. */
enum dc_failure {
    DC_EINVAL = -1,    /* an argument is wrong: a null pointer, an unknown type, counts that do not fit */
    DC_EENV = -2,      /* the environment, or the spool, cannot be used */
    DC_EIO = -3,       /* a file could not be read or written: a full disk, an input/output error */
    DC_ECORRUPT = -4,  /* a checkpoint is torn, damaged or of another job */
    DC_EMISMATCH = -5, /* a checkpoint does not hold these regions */
    DC_EDOMAIN = -6,   /* the mask cannot be read, or is not the job's */
    DC_EPANIC = -7     /* a fault of the library itself */
};

/* Types of values, little-endian; numpy's codes. */
enum dc_dtype {
    DC_U1 = 1, /* uint8_t */
    DC_I1 = 2, /* int8_t */
    DC_U2 = 3, /* uint16_t */
    DC_I2 = 4, /* int16_t */
    DC_U4 = 5, /* uint32_t */
    DC_I4 = 6, /* int32_t */
    DC_U8 = 7, /* uint64_t */
    DC_I8 = 8, /* int64_t */
    DC_F4 = 9, /* float */
    DC_F8 = 10 /* double */
};

/* Orders of the values of a result. */
enum dc_layout {
    DC_EFFECTIVE = 1, /* row by row through the block, effective cells only */
    DC_BLOCK = 2,     /* row by row through the block, every cell */
    DC_BYTES = 3      /* any bytes; for dcrun --merge concat. The type is DC_U1, one value a cell */
};

/* A piece of memory that a checkpoint keeps. The id is yours and tells the regions of a checkpoint apart. */
struct dc_region {
    uint32_t id;
    void *data;     /* may be null where bytes is 0 */
    uint64_t bytes;
};

/*
 * Fills the regions from the checkpoint that this attempt goes on from, and *step with its step.
 * Returns 1 where it did, 0 where there is no checkpoint: start from the beginning.
 *
 * The whole file is verified before anything is changed. If it is damaged, the one before it is taken and a line on
 * stderr says so; if that is damaged too, the return is an error. Ids and lengths must be exactly those that were written, in
 * any order; else DC_EMISMATCH, and nothing is changed. A negative return is never a reason to start from the beginning: end
 * the program with a non-zero status.
 * (Only a disk that fails, or a file that another program changes, between the two readings leaves regions half
 * filled: DC_EIO or DC_ECORRUPT, as ever.)
 */
int dc_restore(const struct dc_region *regions, size_t n, uint64_t *step);

/*
 * Whether a checkpoint is due: 1 yes, 0 no. Cheap enough for every step.
 *
 * It is due $DC_CHECKPOINT_INTERVAL seconds after the last one (or the start); where that is not set, after a second or 20 times
 * what the last one took, whichever is longer, so that checkpoints cost about 5 % at most. And at once when dc wants
 * to stop this rank.
 */
int dc_checkpoint_due(void);

/*
 * Writes a checkpoint of the regions, and returns 0 when it is safely on disk. The step is yours; a later checkpoint of
 * the same subtask has a larger one. The regions must not be changed by another thread meanwhile.
 *
 * On an error, a full disk for example, nothing of it is left, the checkpoints before it stay, and the program
 * may go on. Old checkpoints are removed by dc, never by this library.
 */
int dc_checkpoint(uint64_t step, const struct dc_region *regions, size_t n);

/* Says how many of the subtask's cells are done, for the display. Returns 0. Costs less than a microsecond. */
int dc_progress(uint64_t cells);

/*
 * Hands over the result: `values` numbers in all, of the type `dtype` (enum dc_dtype), `values_per_cell` of them for each cell,
 * in the order `layout` (enum dc_layout). Returns 0 when it is safely on disk; it counts when the program then ends
 * with status 0. A second call replaces the first.
 */
int dc_result(int dtype, uint32_t values_per_cell, int layout, const void *data, uint64_t values);

/* This subtask's number, from 0; its rank (the lane it runs in), from 0; its attempt, from 1. Where the environment
 * cannot be used, 0. By hand the first two are 0. */
uint32_t dc_subtask(void);
uint32_t dc_rank(void);
uint32_t dc_attempt(void);

/* This subtask's cost in effective cells. Without dcrun, those of the mask; 0 where nothing is known. Of a field of weights it is
 * the sum of the weights, and dc_mask() tells the number of effective cells. */
uint64_t dc_cells(void);

/* This subtask's block of the grid, columns block[0] <= x < block[2], rows block[1] <= y < block[3].
 * Returns 1, or 0 where the job has no domain. */
int dc_block(uint32_t block[4]);

/* The whole grid: columns and rows. Returns 1, or 0 where the job has no domain. */
int dc_grid(uint32_t *nx, uint32_t *ny);

/* For a run by hand: takes this file (PBM, PGM or .npy) as the domain, with the whole grid as the block. Under
 * dcrun the job has said what the domain is, and nothing happens. Returns 0. */
int dc_domain(const char *path);

/*
 * Fills mask with one byte for each cell of the block, row by row: 1 where it is effective, else 0. `n` is the length of mask
 * and must be the number of cells of the block. Returns the number of effective cells. With a null mask and n = 0 it only
 * counts. Without a domain: DC_EDOMAIN.
 */
int64_t dc_mask(unsigned char *mask, size_t n);

/* What the last error of this thread was, as one line. Never null; valid until this thread's next call. */
const char *dc_error(void);

#ifdef __cplusplus
}
#endif

#endif
